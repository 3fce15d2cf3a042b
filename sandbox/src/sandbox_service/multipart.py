"""Bodies of ``multipart/form-data`` (RFC 7578)."""

from dataclasses import dataclass

from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, parse_options_header

MAX_FIELDS = 100


@dataclass(frozen=True)
class Part:
    """One field; ``file`` is the name of the file that it is said to be, if it is said to be one."""

    name: str
    content: bytes
    file: str | None = None


def is_multipart(content_type: str) -> bool:
    return parse_options_header(content_type)[0] == b"multipart/form-data"


def parse_multipart(body: bytes, content_type: str) -> list[Part]:
    """The fields of a form.

    Raises:
        ValueError: The body is no such form.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise ValueError("not multipart/form-data")
    parts: list[Part] = []

    def on_field(field: Field) -> None:
        parts.append(Part(_text(field.field_name), field.value or b""))

    def on_file(file: File) -> None:
        file.file_object.seek(0)
        parts.append(Part(_text(file.field_name), file.file_object.read(), _text(file.file_name)))
        file.close()

    try:
        parser = FormParser(
            "multipart/form-data",
            on_field,
            on_file,
            boundary=options[b"boundary"],
            config={"MAX_MEMORY_FILE_SIZE": len(body) + 1},
        )
        parser.write(body)
        parser.finalize()
        parser.close()
    except FormParserError as error:
        raise ValueError("not a form") from error
    if len(parts) > MAX_FIELDS:
        raise ValueError("too many fields")
    return parts


def _text(name: bytes | None) -> str:
    return (name or b"").decode("utf-8", "replace")
