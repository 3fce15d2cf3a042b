"""What a handler can ask for.

Each is ``async`` because FastAPI runs a plain function in a thread, which costs more than it does.
"""

from typing import Annotated

from fastapi import Depends, Request

from image_service.followers import Followers
from image_service.following import Following
from image_service.gallery import Gallery
from image_service.providers import Provider
from image_service.quotes import Quotes
from image_service.reports import ReportService
from image_service.service import ImageService
from image_service.storage import Storage


async def image_service(request: Request) -> ImageService:
    service: ImageService = request.app.state.image_service
    return service


async def gallery(request: Request) -> Gallery:
    found: Gallery = request.app.state.gallery
    return found


async def storage(request: Request) -> Storage:
    found: Storage = request.app.state.storage
    return found


async def following(request: Request) -> Following:
    found: Following = request.app.state.following
    return found


async def followers(request: Request) -> Followers:
    found: Followers = request.app.state.followers
    return found


async def provider(request: Request) -> Provider:
    found: Provider = request.app.state.provider
    return found


async def reports(request: Request) -> ReportService:
    found: ReportService = request.app.state.reports
    return found


async def quotes(request: Request) -> Quotes:
    found: Quotes = request.app.state.quotes
    return found


ImageServiceDep = Annotated[ImageService, Depends(image_service)]
GalleryDep = Annotated[Gallery, Depends(gallery)]
StorageDep = Annotated[Storage, Depends(storage)]
FollowingDep = Annotated[Following, Depends(following)]
FollowersDep = Annotated[Followers, Depends(followers)]
ProviderDep = Annotated[Provider, Depends(provider)]
ReportServiceDep = Annotated[ReportService, Depends(reports)]
QuotesDep = Annotated[Quotes, Depends(quotes)]
