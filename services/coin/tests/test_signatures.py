"""A webhook is Stripe's only if its signature is."""

import pytest

from coin_service.errors import InvalidSignatureError
from coin_service.stripe_signature import verify_signature

VECTOR = b'{"id":"evt_1","object":"event"}'
VECTOR_V1 = "0c8670ed117751cc551a20e35839447075c42800ea3cf3e8a2fbda99cd1e6edd"


def test_signature_of_the_vector() -> None:
    verify_signature(VECTOR, f"t=1700000000,v1={VECTOR_V1}", "whsec_test_secret", now=1700000300)
    rolled = f"t=1700000000,v1={'0' * 64},v1={VECTOR_V1},v0=abc"
    verify_signature(VECTOR, rolled, "whsec_test_secret", now=1699999700)


@pytest.mark.parametrize(
    ("header", "now"),
    [
        (f"t=1700000000,v1={VECTOR_V1}", 1700000301),
        (f"t=1700000000,v1={VECTOR_V1}", 1699999699),
        (f"t=1700000001,v1={VECTOR_V1}", 1700000000),
        (f"t=1700000000,v0={VECTOR_V1}", 1700000000),
        (f"t=1700000000,v1={VECTOR_V1.upper()}", 1700000000),
        (f"t=1700000000,v1={VECTOR_V1[:-1]}", 1700000000),
        (f"t=1700000000,t=1700000000,v1={VECTOR_V1}", 1700000000),
        (f"t=+1700000000,v1={VECTOR_V1}", 1700000000),
        (f"t=,v1={VECTOR_V1}", 0),
        (f"v1={VECTOR_V1}", 1700000000),
        (f"t=1700000000,v1=\xe9{VECTOR_V1}", 1700000000),
        ("t=1700000000", 1700000000),
        ("", 1700000000),
    ],
)
def test_signature_that_does_not_fit(header: str, now: float) -> None:
    with pytest.raises(InvalidSignatureError):
        verify_signature(VECTOR, header, "whsec_test_secret", now=now)
