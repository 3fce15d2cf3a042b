"""Proof that no coin was made or lost: every wallet's entries added up again, without the code that wrote them."""
