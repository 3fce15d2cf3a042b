"""What plans are called."""

import re
from collections.abc import Mapping


def plan_name(product_id: str, names: Mapping[str, str]) -> str:
    """Return a product's configured name, or its id made readable: ``pro_monthly`` is ``Pro Monthly``."""
    if product_id in names:
        return names[product_id]
    words = [word for word in re.split(r"[._-]+", product_id) if word]
    return " ".join(word[0].upper() + word[1:] for word in words)
