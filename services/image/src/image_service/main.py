"""Build the image service."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import httpx
from fastapi import FastAPI

from common.app import create_service_app
from common.clients.coin import CoinClient
from common.clients.subscription import SubscriptionClient
from common.http import open_service_client
from common.mongo import open_database
from common.settings import load_settings
from common.stopping import on_stop_signal
from image_service import generation_routes, internal_routes, options_routes, report_routes
from image_service.acceptance import Acceptance
from image_service.background import Job, at_work
from image_service.changes import POLL_SECONDS, Changes
from image_service.covers import Covers
from image_service.drawing import Drawing
from image_service.files import PictureFiles
from image_service.followers import Followers
from image_service.following import Following
from image_service.funds import Funds
from image_service.gallery import Gallery
from image_service.moves import Moves
from image_service.places import Places
from image_service.providers.stability import open_engine
from image_service.quotes import Quotes
from image_service.recovery import Recovery
from image_service.remains import Remains
from image_service.reports import ReportService
from image_service.routes import router, uploads
from image_service.runner import GenerationRunner
from image_service.service import ImageService
from image_service.settings import Settings
from image_service.storage.opening import open_storage
from image_service.store.covers import EntitlementStore, QuotaStore
from image_service.store.generations import GenerationStore
from image_service.store.images import ImageStore
from image_service.store.reports import ReportStore
from image_service.sweeping import sweeping
from image_service.tasks import GenerationTasks


def create_app(settings: Settings | None = None, *, transport: httpx.AsyncBaseTransport | None = None) -> FastAPI:
    """Build the application.

    Args:
        settings: Read from the environment if not given.
        transport: Carries all HTTP of this service to others, for tests.
    """
    settings = settings or load_settings(Settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            database = await opened.enter_async_context(open_database(settings))
            storage = await opened.enter_async_context(open_storage(settings, transport=transport))
            coin = await opened.enter_async_context(
                open_service_client(settings.coin_url, settings, transport=transport)
            )
            subscription = await opened.enter_async_context(
                open_service_client(settings.subscription_url, settings, transport=transport)
            )
            provider = await opened.enter_async_context(open_engine(settings, transport=transport))
            generations = GenerationStore(database, owner=uuid4().hex, lease_seconds=settings.lease_seconds)
            images = ImageStore(database)
            quotas = QuotaStore(database)
            reported = ReportStore(database)
            for store in (generations, images, quotas, reported):
                await store.ensure_indexes()
            signer = app.state.service_token_signer
            covers = Covers(
                SubscriptionClient(subscription, signer),
                EntitlementStore(database),
                quotas,
                daily_images=settings.subscription_daily_images,
            )
            places = Places(
                drawing=settings.max_concurrent_generations,
                drawing_per_user=settings.max_drawing_per_user,
                waiting=settings.max_waiting_generations,
                per_user=settings.max_generations_per_user,
            )
            coins = CoinClient(coin, signer)
            funds = Funds(coins, covers)
            files = PictureFiles(storage)
            changes = Changes(generations)
            moves = Moves(generations, changes)
            drawing = Drawing(generations, provider, files, places, moves, changes)
            runner = GenerationRunner(generations, images, funds, files, drawing, moves)
            tasks = GenerationTasks(generations, runner, places)
            acceptance = Acceptance(
                generations, tasks, provider, places, changes, coins_per_image=settings.coins_per_image
            )
            service = ImageService(
                generations, images, acceptance, tasks, places, changes, max_wait_seconds=settings.max_wait_seconds
            )
            reports = ReportService(reported, images, storage, reports_a_day=settings.reports_a_day)
            remains = Remains(images, generations, reports, storage)
            gallery = Gallery(images, storage, remains)
            app.state.database = database
            app.state.provider = provider
            app.state.quotes = Quotes(provider, coins, covers, coins_per_image=settings.coins_per_image)
            app.state.storage = storage
            app.state.gallery = gallery
            app.state.reports = reports
            app.state.image_service = service
            app.state.following = Following(service, gallery, stream_seconds=settings.event_stream_seconds)
            app.state.followers = Followers(total=settings.max_followers, per_user=settings.max_followers_per_user)
            recovery = Recovery(generations, tasks, places)

            def stop() -> None:
                recovery.stop()
                service.stop()

            async with at_work(
                Job(tasks.renew, settings.lease_seconds / 3),
                Job(changes.poll, POLL_SECONDS),
                Job(recovery.recover, settings.recovery_interval_seconds),
                Job(remains.purge, settings.recovery_interval_seconds),
                Job(reports.keep_due, settings.recovery_interval_seconds),
                await sweeping(database, storage, images, gallery, coins, settings),
            ):
                # Told at once: the server ends this only when the last request has its answer.
                with on_stop_signal(stop):
                    yield
                stop()
                await tasks.drain(settings.shutdown_seconds)

    return create_service_app(
        settings,
        routers=[
            router,
            generation_routes.router,
            options_routes.router,
            report_routes.router,
            uploads,
            internal_routes.router,
        ],
        lifespan=lifespan,
        description="Pictures: drawn, charged or covered, kept, listed and deleted.",
    )
