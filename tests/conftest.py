"""The mesh, started once for all journeys, and the people and vendors who walk through them.

``TEST_BASE_URL`` (and ``TEST_SANDBOX_URL``) point the same journeys at a mesh that runs already, in containers perhaps.
"""

import os
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from journey.answers import data
from journey.mesh import Mesh, running_mesh
from journey.phone import PASSWORD, TIMEOUT_SECONDS, Account, Caller, NewPhone, Phone, fresh_email
from journey.sandbox import Sandbox

HERE = Path(__file__).parent
MESH = pytest.StashKey[Mesh]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "processes: needs the pids, logs and ports of a mesh that the tests started")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            # One mesh serves all journeys, so one worker walks them; others have the members' own tests meanwhile.
            item.add_marker(pytest.mark.xdist_group("mesh"))


@pytest.fixture(scope="session")
def mesh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """The whole mesh: MongoDB, the sandbox, five services and the gateway."""
    if gateway := os.environ.get("TEST_BASE_URL"):
        yield Mesh(gateway.rstrip("/"), os.environ.get("TEST_SANDBOX_URL", "").rstrip("/"))
        return
    with running_mesh(tmp_path_factory.mktemp("mesh")) as started:
        request.config.stash[MESH] = started
        yield started


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest) -> None:
    """Select by what the mesh can give; remember where the logs stand, for the report of a failure."""
    if request.node.get_closest_marker("processes") and os.environ.get("TEST_BASE_URL"):
        pytest.skip("the mesh at TEST_BASE_URL was not started by the tests: its processes are not theirs")
    if (mesh := request.config.stash.get(MESH, None)) is not None:
        mesh.mark()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show with a failure what the processes logged during the test."""
    report: pytest.TestReport = yield  # type: ignore[assignment]  # a wrapper receives the result here
    if report.failed and (mesh := item.config.stash.get(MESH, None)) is not None:
        report.sections.append(("logs of the mesh", mesh.said_since_mark()))
    return report  # type: ignore[return-value]


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    """Loading certificates takes longer than a request; every client shares these."""
    return ssl.create_default_context()


@pytest_asyncio.fixture
async def http(mesh: Mesh, tls: ssl.SSLContext) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to the gateway's address and nothing else."""
    limits = httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(
        base_url=mesh.gateway, verify=tls, trust_env=False, timeout=TIMEOUT_SECONDS, limits=limits
    ) as client:
        yield client


@pytest.fixture
def guest(http: httpx.AsyncClient) -> Caller:
    """Nobody: asks without a token."""
    return Caller(http)


@pytest.fixture
def new_phone(http: httpx.AsyncClient, guest: Caller) -> NewPhone:
    """Registers one more user."""

    async def register() -> Phone:
        body = {"email": fresh_email(), "password": PASSWORD, "name": "Ada"}
        return Phone(http, Account.of(data(await guest.post("/api/auth/register", body), 201), PASSWORD))

    return register


@pytest_asyncio.fixture
async def phone(new_phone: NewPhone) -> Phone:
    """A user nobody has met before."""
    return await new_phone()


@pytest_asyncio.fixture
async def sandbox(mesh: Mesh) -> AsyncIterator[Sandbox]:
    """The vendors' controls; afterwards they are all well again."""
    if not mesh.sandbox:
        pytest.skip("TEST_SANDBOX_URL is not set: the vendors are not ours to control")
    controls = Sandbox(mesh.sandbox)
    yield controls
    await controls.reset()
