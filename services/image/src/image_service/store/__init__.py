"""The collections; the only code that sees documents."""
