import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_mesh.environment import (
    GENERATED_SECRETS,
    SEEN_ONLY_BY,
    complete,
    ensure_secrets,
    environment_of,
    read_settings,
)
from local_mesh.folders import CHECKOUT, Folders, claim_folders
from local_mesh.problems import StartError
from local_mesh.processes import AUTH, COIN, GATEWAY, IMAGE, MONGOD, PROCESSES, SANDBOX, SUBSCRIPTION, USER, Ports

PORTS = Ports(6000)


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    with claim_folders(tmp_path, PORTS) as claimed:
        yield claimed


def values_of(settings: dict[str, str], folders: Folders) -> dict[str, str]:
    return complete(settings, folders=folders, ports=PORTS, mongo_uri="mongodb://127.0.0.1:6017/")


def test_shell_wins_over_the_file_and_an_empty_word_over_neither(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("COINS_PER_IMAGE=5\nJWT_EXPIRE=12h\nLOG_LEVEL=DEBUG\nSTRIPE_SECRET_KEY=\n")

    settings = read_settings(tmp_path / ".env", {"COINS_PER_IMAGE": "7", "LOG_LEVEL": ""})

    assert settings == {"COINS_PER_IMAGE": "7", "JWT_EXPIRE": "12h", "LOG_LEVEL": "DEBUG"}


def test_dollars_in_a_secret_are_kept(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("JWT_SECRET='pa$$w${HOME}rd %(x)s'\n")

    assert read_settings(tmp_path / ".env", {})["JWT_SECRET"] == "pa$$w${HOME}rd %(x)s"


def test_the_example_file_as_it_is_leaves_every_vendor_to_the_sandbox(folders: Folders) -> None:
    settings = read_settings(CHECKOUT / ".env.example", {})

    values = values_of(settings, folders)

    sandbox = "http://127.0.0.1:6010"
    assert (values["STABILITY_API_BASE"], values["STRIPE_API_BASE"], values["GOOGLE_PLAY_API_BASE"]) == (sandbox,) * 3
    assert values["ADMOB_KEYS_URL"] == f"{sandbox}/admob/reward/verifier-keys.json"
    assert values["GOOGLE_APPLICATION_CREDENTIALS"] == str(folders.data / "sandbox-service-account.json")
    assert values["MONGO_URI"] == "mongodb://127.0.0.1:6017/"
    assert len(values["JWT_SECRET"]) >= 32
    assert values["PUBLIC_URL"] == "http://localhost:6000"


def test_the_example_file_names_every_secret_and_none_without_an_owner() -> None:
    text = (CHECKOUT / ".env.example").read_text()
    names = re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", text, flags=re.MULTILINE)

    assert len(names) == len(set(names))
    assert set(SEEN_ONLY_BY) - {"AWS_SESSION_TOKEN"} <= set(names)
    secret = {name for name in names if re.search(r"(SECRET|TOKEN|PASSWORD|CREDENTIALS|_KEY)$", name)}
    assert secret <= set(SEEN_ONLY_BY)


def test_own_credentials_mean_the_real_vendor(folders: Folders) -> None:
    values = values_of({"STABILITY_API_KEY": "sk-mine"}, folders)

    assert values["STABILITY_API_KEY"] == "sk-mine"
    assert "STABILITY_API_BASE" not in values
    assert values["STRIPE_API_BASE"] == "http://127.0.0.1:6010"


def test_credentials_file_counts_from_the_checkout_and_must_be_there(folders: Folders) -> None:
    (folders.root / "play.json").write_text("{}")

    assert values_of({"GOOGLE_APPLICATION_CREDENTIALS": "play.json"}, folders)["GOOGLE_APPLICATION_CREDENTIALS"] == str(
        folders.root / "play.json"
    )
    with pytest.raises(StartError, match=r"absent\.json, which does not exist"):
        values_of({"GOOGLE_APPLICATION_CREDENTIALS": "absent.json"}, folders)


def test_cloudinary_without_an_account_is_the_sandbox(folders: Folders) -> None:
    values = values_of({"STORAGE_BACKEND": "cloudinary"}, folders)
    assert values["CLOUDINARY_URL"] == "cloudinary://sandbox:sandbox-secret@pixelmint"
    assert values["CLOUDINARY_API_BASE"] == "http://127.0.0.1:6010"
    assert "CLOUDINARY_URL" in environment_of(IMAGE, values, PORTS)
    assert "CLOUDINARY_URL" not in environment_of(COIN, values, PORTS)

    real = values_of({"STORAGE_BACKEND": "cloudinary", "CLOUDINARY_URL": "cloudinary://1:2@mine"}, folders)
    assert real["CLOUDINARY_URL"] == "cloudinary://1:2@mine"
    assert "CLOUDINARY_API_BASE" not in real
    assert "CLOUDINARY_API_BASE" not in values_of({}, folders)


def test_a_bucket_means_s3(folders: Folders) -> None:
    assert values_of({}, folders)["STORAGE_BACKEND"] == "local"
    assert values_of({"AWS_S3_BUCKET_NAME": "pictures"}, folders)["STORAGE_BACKEND"] == "s3"


def test_node_env_is_not_overruled(folders: Folders) -> None:
    assert values_of({}, folders)["ENVIRONMENT"] == "development"
    assert "ENVIRONMENT" not in values_of({"NODE_ENV": "production"}, folders)


def test_addresses_follow_the_ports_whatever_the_settings_say(folders: Folders) -> None:
    values = values_of({"COIN_URL": "http://coin:5003", "PORT": "5000"}, folders)

    assert values["COIN_URL"] == "http://127.0.0.1:6003"
    assert environment_of(COIN, values, PORTS)["PORT"] == "6003"
    assert environment_of(GATEWAY, values, PORTS)["PORT"] == "6000"


def test_secrets_are_made_once_and_for_the_user_alone(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"

    first = ensure_secrets(file)

    assert set(first) == set(GENERATED_SECRETS)
    assert len(set(first.values())) == len(GENERATED_SECRETS)
    assert ensure_secrets(file) == first
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_secret_reaches_only_those_who_use_it(folders: Folders) -> None:
    mine = {
        "STABILITY_API_KEY": "sk-mine",
        "STRIPE_SECRET_KEY": "sk_live_mine",
        "AWS_SECRET_ACCESS_KEY": "aws-mine",
        "GITHUB_TOKEN": "ghp-mine",
        "COINS_PER_IMAGE": "7",
        "PATH": "/bin",
    }
    values = values_of(mine, folders)

    def who_has(name: str) -> set[str]:
        return {process.name for process in PROCESSES if name in environment_of(process, values, PORTS)}

    services = {process.name for process in (AUTH, USER, COIN, IMAGE, SUBSCRIPTION)}
    assert who_has("STABILITY_API_KEY") == who_has("AWS_SECRET_ACCESS_KEY") == {"image"}
    assert who_has("STRIPE_SECRET_KEY") == {"coin"}
    assert who_has("GOOGLE_APPLICATION_CREDENTIALS") == {"coin", "subscription"}
    assert who_has("MONGO_URI") == who_has("SERVICE_SECRET") == services
    assert who_has("JWT_SECRET") == services | {"gateway"}
    assert who_has("GITHUB_TOKEN") == set()
    assert who_has("COINS_PER_IMAGE") == services | {"gateway", "sandbox"}
    assert set(environment_of(MONGOD, values, PORTS)) == {"PATH"}
    assert "aws-mine" not in json.dumps(environment_of(SANDBOX, values, PORTS))


def test_the_sandbox_signs_stripes_webhooks_only_in_stripes_place(folders: Folders) -> None:
    def seen(settings: dict[str, str]) -> tuple[str | None, str | None]:
        values = values_of(settings, folders)
        coin, sandbox = (environment_of(process, values, PORTS) for process in (COIN, SANDBOX))
        assert "STRIPE_WEBHOOK_SECRET" not in environment_of(IMAGE, values, PORTS)
        return coin.get("STRIPE_WEBHOOK_SECRET"), sandbox.get("STRIPE_WEBHOOK_SECRET")

    generated, signed_with = seen({})
    assert generated is not None
    assert (len(generated) >= 32, signed_with) == (True, generated)
    assert seen({"STRIPE_WEBHOOK_SECRET": "whsec_mine"}) == ("whsec_mine", "whsec_mine")
    assert seen({"STRIPE_SECRET_KEY": "sk_live_mine", "STRIPE_WEBHOOK_SECRET": "whsec_real"}) == ("whsec_real", None)
    assert seen({"STRIPE_SECRET_KEY": "sk_live_mine"}) == (None, None)


def test_the_sandbox_knows_the_gateway_and_an_own_key_server_stays(folders: Folders) -> None:
    values = values_of({"ADMOB_KEYS_URL": "https://www.gstatic.com/admob/reward/verifier-keys.json"}, folders)

    assert environment_of(SANDBOX, values, PORTS)["GATEWAY_URL"] == "http://127.0.0.1:6000"
    assert environment_of(COIN, values, PORTS)["ADMOB_KEYS_URL"].startswith("https://www.gstatic.com/")


def test_notifications_are_believed_from_the_sandbox_only_in_googles_place(folders: Folders) -> None:
    values = values_of({"GOOGLE_PLAY_PUSH_AUDIENCE": "mine"}, folders)
    for process in (COIN, SUBSCRIPTION, SANDBOX):
        seen = environment_of(process, values, PORTS)
        assert seen["GOOGLE_CERTS_URL"] == "http://127.0.0.1:6010/oauth2/v1/certs"
        assert (seen["GOOGLE_PLAY_PUSH_AUDIENCE"], "sandbox" in seen["GOOGLE_PLAY_PUSH_EMAIL"]) == ("mine", True)

    (folders.root / "play.json").write_text("{}")
    real = values_of({"GOOGLE_APPLICATION_CREDENTIALS": "play.json"}, folders)
    assert not {"GOOGLE_CERTS_URL", "GOOGLE_PLAY_PUSH_AUDIENCE", "GOOGLE_PLAY_PUSH_EMAIL"} & set(real)


def test_only_the_gateway_can_be_opened_to_the_network(folders: Folders) -> None:
    values = values_of({"HOST": "0.0.0.0"}, folders)

    hosts = {process.name: environment_of(process, values, PORTS)["HOST"] for process in PROCESSES if process.module}

    assert {name for name, host in hosts.items() if host != "127.0.0.1"} == {"gateway"}
