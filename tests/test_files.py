"""Pictures' files: there with their records, and gone with them."""

import io

import pytest
from PIL import Image

from journey.answers import data
from journey.mesh import Mesh
from journey.phone import Caller, Phone
from journey.pictures import draw, is_marked_as_generated, opened


@pytest.mark.processes
async def test_files_come_and_go_with_their_pictures(mesh: Mesh, phone: Phone, guest: Caller) -> None:
    content = await draw(phone, samples=2)
    kept, deleted = content["images"]
    for image in (kept, deleted):
        picture = await guest.get(image["imageUrl"])
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
        assert is_marked_as_generated(opened(picture.content))
        thumbnail = await guest.get(image["thumbnailUrl"])
        assert (thumbnail.status_code, thumbnail.headers["content-type"]) == (200, "image/webp")
        with Image.open(io.BytesIO(thumbnail.content)) as small:
            assert max(small.size) == 256

    data(await phone.delete(f"/api/image/{deleted['id']}"))

    for address in (deleted["imageUrl"], deleted["thumbnailUrl"]):
        assert (await guest.get(address)).status_code == 404
    for address in (kept["imageUrl"], kept["thumbnailUrl"]):
        assert (await guest.get(address)).status_code == 200
    # A file's name begins with its order's id: two names are left of this one, and no draft.
    left = {path.name for path in (mesh.data / "uploads").iterdir() if path.name.startswith(content["generationId"])}
    assert left == {address.rpartition("/")[2] for address in (kept["imageUrl"], kept["thumbnailUrl"])}
