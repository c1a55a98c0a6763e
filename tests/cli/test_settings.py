"""Settings: which source wins, and what is said about one that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from httpproxy.settings.reading import (
    Settings,
    SettingsError,
    environment,
    misspelled_variables,
    read_settings,
)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine reaches a test."""
    for name in list(environment()):
        if name.startswith("HTTPPROXY_") or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _problems(**options: object) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read_settings(**options)
    return caught.value.problems


def test_without_anything_set_every_setting_has_its_default():
    settings = read_settings()
    assert (settings.gateway_port, settings.data_dir) == (8080, Path(".httpproxy"))
    assert settings.database_url is None
    assert settings.max_request_bytes == 16 * 1024 * 1024


def test_an_option_wins_over_the_environment_over_the_file(monkeypatch: pytest.MonkeyPatch):
    Path("httpproxy.toml").write_text(
        "gateway_port = 1\nsandbox_port = 1\nlog_level = 'error'\n"
    )
    monkeypatch.setenv("HTTPPROXY_GATEWAY_PORT", "2")
    monkeypatch.setenv("HTTPPROXY_SANDBOX_PORT", "2")
    settings = read_settings(gateway_port=3)
    assert (settings.gateway_port, settings.sandbox_port, settings.log_level) == (3, 2, "error")


def test_an_option_that_was_not_given_and_an_empty_variable_set_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("HTTPPROXY_GATEWAY_PORT", "")
    assert read_settings(gateway_host=None).gateway_host == "127.0.0.1"
    assert read_settings().gateway_port == 8080


def test_the_file_can_be_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    named, other = tmp_path / "named.toml", tmp_path / "other.toml"
    named.write_text("gateway_port = 5")
    other.write_text("gateway_port = 6")
    monkeypatch.setenv("HTTPPROXY_CONFIG", str(other))
    assert read_settings().gateway_port == 6
    assert read_settings(named).gateway_port == 5


def test_a_named_file_that_is_not_there_is_an_error():
    with pytest.raises(SettingsError, match=r"gone\.toml: there is no such file"):
        read_settings(Path("gone.toml"))


def test_database_url_works_by_its_plain_name_and_ours_wins(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://plain")
    settings = read_settings()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgres://plain"
    monkeypatch.setenv("HTTPPROXY_DATABASE_URL", "host=ours dbname=x")
    ours = read_settings().database_url
    assert ours is not None
    assert ours.get_secret_value() == "host=ours dbname=x"


def test_an_unknown_key_of_the_file_is_refused_with_the_nearest():
    Path("httpproxy.toml").write_text("gatway_port = 1\nzzzzzzzz = 1\n")
    first, second = _problems()
    assert first.startswith("gatway_port in httpproxy.toml: ")
    assert first.endswith("did you mean gateway_port?")
    assert "docs/settings.md" in second


def test_every_wrong_setting_is_named_at_once_with_what_it_takes(
    monkeypatch: pytest.MonkeyPatch,
):
    Path("httpproxy.toml").write_text("log_level = 'loud'\n")
    monkeypatch.setenv("HTTPPROXY_GATEWAY_PORT", "eighty")
    problems = _problems(sandbox_port=70000)
    assert len(problems) == 3
    text = "\n".join(problems)
    assert "HTTPPROXY_GATEWAY_PORT: 'eighty' cannot be used: must be a port" in text
    assert "log_level in httpproxy.toml: 'loud' cannot be used: must be debug, info" in text
    assert "sandbox_port (--sandbox-port): 70000 cannot be used" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPPROXY_PUBLIC_URL", "proxy.example.com"),
        ("HTTPPROXY_PUBLIC_URL", "https://proxy.example.com/?q=1"),
        ("HTTPPROXY_PSEUDONYM", "my proxy"),
        ("HTTPPROXY_UPSTREAMS", "localhost"),
        ("HTTPPROXY_UPSTREAMS", '{"api.airtable.com": "ftp://localhost"}'),
        ("HTTPPROXY_UPSTREAMS", '{"api.airtable.com": "http://localhost/v0"}'),
        ("HTTPPROXY_MAX_REQUEST_BYTES", "0"),
        ("HTTPPROXY_MAX_RESPONSE_BYTES", "big"),
        ("HTTPPROXY_MAX_CONNECTIONS", "0"),
        ("HTTPPROXY_PERMIT_TIMEOUT", "0"),
        ("HTTPPROXY_COMMIT_TIMEOUT", "inf"),
        ("HTTPPROXY_UVLOOP", "perhaps"),
        ("HTTPPROXY_LOG_FORMAT", "xml"),
        ("HTTPPROXY_SECRET_KEY", "short"),
        ("DATABASE_URL", "mysql://x"),
        ("HTTPPROXY_ROLES", "gateway,doorman"),
        ("HTTPPROXY_API_PORT", "-1"),
        ("HTTPPROXY_OTLP_ENDPOINT", "127.0.0.1:4318"),
        ("HTTPPROXY_REPLICAS", '{"eu": "mysql://x"}'),
        ("HTTPPROXY_REPLICAS", '{"e u": "postgresql://x"}'),
        ("HTTPPROXY_REPLICAS", "eu"),
        ("HTTPPROXY_SYNC_INTERVAL", "0"),
        ("HTTPPROXY_SWEEP_INTERVAL", "nan"),
        ("HTTPPROXY_VERIFY_SAMPLE", "-1"),
        ("HTTPPROXY_MASS_DELETE_SHARE", "1.5"),
        ("HTTPPROXY_SYNC_CONCURRENCY", "0"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
):
    monkeypatch.setenv(name, value)
    (problem,) = _problems()
    assert problem.startswith(f"{name}: ")
    assert "must be" in problem


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("gateway", ("gateway",)),
        (" Sync , gateway,sync", ("gateway", "sync")),
        ("api,gateway", ("gateway", "api")),
    ],
)
def test_roles_are_names_with_commas_and_each_counts_once(
    monkeypatch: pytest.MonkeyPatch, text: str, roles: tuple[str, ...]
):
    assert read_settings().roles == ("gateway", "sync", "api")
    monkeypatch.setenv("HTTPPROXY_ROLES", text)
    assert read_settings().roles == roles


@pytest.mark.parametrize("written", ["'sync'", "['sync']"])
def test_roles_of_the_file_are_a_list_or_a_text(written: str):
    Path("httpproxy.toml").write_text(f"roles = {written}\n")
    assert read_settings().roles == ("sync",)


@pytest.mark.parametrize("written", ["[]", "''", "7", "['gateway', 7]"])
def test_roles_that_are_none_are_refused(written: str):
    Path("httpproxy.toml").write_text(f"roles = {written}\n")
    (problem,) = _problems()
    assert problem.startswith("roles in httpproxy.toml: ")


@pytest.mark.parametrize(
    ("text", "size"), [("1024", 1024), ("2 MiB", 2 * 1024 * 1024), ("1kB", 1000)]
)
def test_sizes_can_be_written_with_their_unit(
    monkeypatch: pytest.MonkeyPatch, text: str, size: int
):
    monkeypatch.setenv("HTTPPROXY_MAX_REQUEST_BYTES", text)
    assert read_settings().max_request_bytes == size


def test_secrets_are_shown_neither_by_repr_nor_by_an_error(monkeypatch: pytest.MonkeyPatch):
    secret = "postgresql://user:hunter2@host/db"
    monkeypatch.setenv("DATABASE_URL", secret)
    monkeypatch.setenv("HTTPPROXY_SECRET_KEY", "k" * 40)
    assert "hunter2" not in repr(read_settings())
    assert "kkkk" not in repr(read_settings())
    monkeypatch.setenv("HTTPPROXY_REPLICAS", f'{{"eu": "{secret}"}}')
    assert "hunter2" not in repr(read_settings())
    monkeypatch.setenv("HTTPPROXY_REPLICAS", '{"eu": "mysql://user:hunter2@host/db"}')
    monkeypatch.setenv("DATABASE_URL", "mysql://user:hunter2@host/db")
    monkeypatch.setenv("HTTPPROXY_SECRET_KEY", "sesame")
    monkeypatch.setenv("HTTPPROXY_PUBLIC_URL", "ftp://user:hunter2@host")
    with pytest.raises(SettingsError) as caught:
        read_settings()
    for error in (caught.value, caught.value.__cause__):
        assert "hunter2" not in str(error)
        assert "sesame" not in str(error)


def test_settings_are_frozen():
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.gateway_port = 1  # type: ignore[misc]  # that it is refused is the point
    assert settings.gateway_port == 8080


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"gateway_host": "0.0.0.0", "gateway_port": 81}, "http://127.0.0.1:81"),
        ({"gateway_host": "::"}, "http://[::1]:8080"),
        ({"gateway_host": "::1"}, "http://[::1]:8080"),
        ({"public_url": "https://p.example.com/gw/"}, "https://p.example.com/gw"),
    ],
)
def test_the_gateway_url_can_be_opened_as_it_is(given: dict[str, object], url: str):
    assert Settings(**given).gateway_url == url


def test_a_misspelled_variable_is_found_and_a_foreign_one_left_alone(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("HTTPPROXY_GATEWAY_PROT", "1")
    monkeypatch.setenv("HTTPPROXY_SERVICE_HOST", "10.0.0.1")  # Kubernetes sets such
    monkeypatch.setenv("HTTPPROXY_TOKEN", "pat")
    assert read_settings().gateway_port == 8080
    assert misspelled_variables() == [("HTTPPROXY_GATEWAY_PROT", "HTTPPROXY_GATEWAY_PORT")]


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:hunter@2@h/db",
        "postgresql://u:hunter/2@h/db",
        "postgresql://u:hunter#2@h:port/db",
        "postgresql://u:hunter2",
    ],
)
def test_a_password_that_would_become_a_host_is_refused_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, dsn: str
):
    """libpq would say "could not translate host name" and quote the rest of it."""
    monkeypatch.setenv("DATABASE_URL", dsn)
    (problem,) = _problems()
    assert "%40" in problem
    assert "hunter" not in problem


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:p%40ss@h1:5432,h2:5433/db?sslmode=require",
        "postgresql://u:a:b@[::1]:5432/db",
        "postgresql://",
        "postgresql:///db?host=/run/postgresql&user=a@b",
        "host=h password=x@y/z",
    ],
)
def test_every_form_of_a_dsn_that_libpq_reads_is_taken(
    monkeypatch: pytest.MonkeyPatch, dsn: str
):
    monkeypatch.setenv("DATABASE_URL", dsn)
    found = read_settings().database_url
    assert found is not None
    assert found.get_secret_value() == dsn
