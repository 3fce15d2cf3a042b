"""Signatures as Cloudinary documents them."""

import pytest

from image_service.cloudinary_account import CloudinaryAccount

DOCUMENTED = {
    "timestamp": "1315060510",
    "public_id": "sample_image",
    "eager": "w_400,h_300,c_pad|w_260,h_200,c_crop",
}


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ("", "bfd09f95f331f558cbd1320e67aa8d488770583e"),
        ("?signature_algorithm=sha1", "bfd09f95f331f558cbd1320e67aa8d488770583e"),
        (
            "?secure=true&signature_algorithm=sha256",
            "cc927e1290f9e3ae4c1a741eda21a4630b4ce80f9ce0bc0296337d25cf40f91e",
        ),
    ],
)
def test_the_documented_example(query: str, signature: str) -> None:
    account = CloudinaryAccount.of(f"cloudinary://1234:abcd@demo{query}")
    assert account.signature(DOCUMENTED) == signature
    assert account.signature({**DOCUMENTED, "tags": ""}) == signature, "what is empty is not signed"
    assert account.signed(DOCUMENTED) == {**DOCUMENTED, "api_key": "1234", "signature": signature}


def test_an_ampersand_cannot_pass_for_another_parameter() -> None:
    account = CloudinaryAccount("demo", "1234", "abcd")
    smuggled = {"public_id": "a&tags=b", "timestamp": "1"}
    assert account.signature(smuggled) != account.signature({"public_id": "a", "tags": "b", "timestamp": "1"})
    assert account.signature(smuggled) == account.signature({"public_id": "a%26tags=b", "timestamp": "1"})
    assert account.signature(smuggled, escaped=False) == account.signature(
        {"public_id": "a", "tags": "b", "timestamp": "1"}
    )


def test_answers_are_signed_too() -> None:
    account = CloudinaryAccount("demo", "1234", "abcd")
    signature = account.signature({"public_id": "a&b", "version": "17"}, escaped=False)
    assert account.has_signed("a&b", 17, signature)
    assert not account.has_signed("a&b", 18, signature)
    assert not account.has_signed("a&b", 17, "")


def test_the_address_of_an_account() -> None:
    account = CloudinaryAccount.of("cloudinary://874837483274837:a676b67565c6767a6767d6767f676fe1@My-Cloud_1")
    assert (account.cloud, account.key) == ("My-Cloud_1", "874837483274837")
    assert account.secret == "a676b67565c6767a6767d6767f676fe1"
    assert "a676b6" not in repr(account)
    for wrong in (
        "",
        "https://key:secret@cloud",
        "cloudinary://secret@cloud",
        "cloudinary://key:secret@",
        "cloudinary://key:sec ret@cloud",
        "cloudinary://key:secret@cloud/folder",
        "cloudinary://key:secret@cloud?signature_algorithm=md5",
    ):
        with pytest.raises(ValueError, match="must be") as refused:
            CloudinaryAccount.of(wrong)
        assert "secret@" not in str(refused.value)
