"""What the user reads once the mesh is ready."""

from collections.abc import Iterable, Mapping

from local_mesh.folders import Folders
from local_mesh.mongo import MongoChoice
from local_mesh.processes import GATEWAY, MONGOD, SANDBOX, Ports, Process
from local_mesh.vendors import ADMOB_KEYS_URL, CLOUDINARY, Vendor, vendors_of


def describe(
    *,
    processes: Iterable[Process],
    ports: Ports,
    folders: Folders,
    mongo: MongoChoice,
    values: Mapping[str, str],
    settings: Mapping[str, str],
) -> str:
    """Name the addresses, what is real and what is not, the folders, and a first request."""
    services = [process for process in processes if process.module and process not in (GATEWAY, SANDBOX)]
    run = folders.shown(folders.run)
    lines = [
        _line("gateway", f"{ports.public_url}   documentation: {ports.public_url}/docs"),
        _line("services", "  ".join(f"{process.name} :{ports.of(process)}" for process in services)),
        _line("MongoDB", _mongo(mongo)),
        *[_line(vendor.name, _vendor(vendor, settings, ports)) for vendor in vendors_of(settings)],
        _line("AdMob", _admob(settings, ports)),
        _line("pictures", _storage(values, folders)),
        _line("data", f"{folders.shown(folders.data)}/   logs and pids: {run}/<name>.log, {run}/<name>.pid"),
        "",
        "A first request (the answer holds a token; Ctrl-C here stops everything):",
        "",
        f"  curl -sS {ports.public_url}/api/auth/register -H 'Content-Type: application/json' \\",
        """    -d '{"email": "ada@example.com", "password": "a long enough password", "name": "Ada"}'""",
    ]
    return "\n".join(lines)


def _line(subject: str, text: str) -> str:
    return f"  {subject:<14}{text}"


def _mongo(mongo: MongoChoice) -> str:
    if mongo.command is None:
        return f"real: {mongo.description}"
    return f"real: {mongo.description}, {mongo.uri}"


def _vendor(vendor: Vendor, settings: Mapping[str, str], ports: Ports) -> str:
    if not vendor.is_real(settings):
        return f"the sandbox stands in, {ports.url(SANDBOX)} (real with {vendor.credential})"
    if base := settings.get(vendor.base):
        return f"at {base}, as {vendor.base} says"
    return f"real, with your {vendor.credential}"


def _admob(settings: Mapping[str, str], ports: Ports) -> str:
    if keys := settings.get(ADMOB_KEYS_URL):
        return f"keys from {keys}, as {ADMOB_KEYS_URL} says"
    return f"the sandbox stands in, {ports.url(SANDBOX)} (real with {ADMOB_KEYS_URL})"


def _storage(values: Mapping[str, str], folders: Folders) -> str:
    if values["STORAGE_BACKEND"] == "local":
        return (
            f"{folders.shown(folders.uploads)}/"
            if values["UPLOADS_DIR"] == str(folders.uploads)
            else values["UPLOADS_DIR"]
        )
    if CLOUDINARY.is_stood_in_for(values):
        return "with the sandbox in Cloudinary's place, which forgets them when it stops"
    return f"{values['STORAGE_BACKEND']} storage, with your credentials"


def names(processes: Iterable[Process]) -> str:
    """The processes in the order they are started, MongoDB by its own name."""
    return " ".join("MongoDB" if process is MONGOD else process.name for process in processes)
