"""Every setting, from options, environment and file; the only reader of the environment.

A setting is looked up in this order, and the first that has it wins:

    1. an option of the command line
    2. the environment: HTTPPROXY_ and the setting's name in capitals
       (DATABASE_URL alone also works, as hosting platforms set it)
    3. httpproxy.toml, or the file named by --config or HTTPPROXY_CONFIG
    4. the default

`read_settings` reads all four, once, and what it returns is frozen. Whatever is
wrong comes out as one `SettingsError` that names every wrong setting, where it was
set and what it takes. A misspelled key of the file is refused; an unknown variable
of the environment is not, because others set those too (Kubernetes makes
HTTPPROXY_PORT for a service called httpproxy): `misspelled_variables` finds them.

What there is to set is described in `service`, `clients`, `outside` and `sync`;
docs/settings.md is made from those descriptions.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import (
    SettingsError as UnparsedSetting,
)

from httpproxy.settings.clients import ClientSettings
from httpproxy.settings.kinds import EXPECTED
from httpproxy.settings.outside import OutsideSettings
from httpproxy.settings.service import ServiceSettings
from httpproxy.settings.sync import SyncSettings

_PREFIX: Final = "HTTPPROXY_"
DEFAULT_FILE: Final = Path("httpproxy.toml")
# Read by the command line, not settings of the service.
OTHER_VARIABLES: Final = frozenset(
    {
        "HTTPPROXY_CONFIG",
        "HTTPPROXY_TOKEN",
        "HTTPPROXY_REFRESH_TOKEN",
        "HTTPPROXY_CLIENT_SECRET",
    }
)


class SettingsError(Exception):
    """Settings that cannot be used; each line of `problems` names one and the remedy."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Settings(SyncSettings, OutsideSettings, ClientSettings, ServiceSettings, BaseSettings):
    """Every setting, checked and frozen.

    `Settings(gateway_port=0)` reads the environment but no file: use it in tests, and
    `read_settings` in programs.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        validate_default=False,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base class's names
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        plain, toml = _PlainDatabaseUrl(settings_cls), TomlConfigSettingsSource(settings_cls)
        return init_settings, env_settings, plain, toml

    @property
    def gateway_url(self) -> str:
        """How clients reach the gateway, without a slash at the end."""
        if self.public_url:
            return self.public_url
        return f"http://{in_url(self.gateway_host)}:{self.gateway_port}"


class _PlainDatabaseUrl(PydanticBaseSettingsSource):
    def get_field_value(
        self,
        field: FieldInfo,  # noqa: ARG002 - the base class's signature
        field_name: str,
    ) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found = environment().get("DATABASE_URL")
        return {"database_url": found} if found else {}


def in_url(host: str) -> str:
    """A listening address as the host of a URL that this machine can open."""
    if host in ("0.0.0.0", ""):  # noqa: S104 - compared with, not listened on
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def systemd_sockets() -> dict[str, list[int]]:
    """The descriptors of listening sockets that systemd opened for this process, by the
    names that its unit gives them (sd_listen_fds(3): they begin at 3). Empty without."""
    found = environment()
    if found.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = int(found.get("LISTEN_FDS", "0"))
    names = found.get("LISTEN_FDNAMES", "").split(":")
    given: dict[str, list[int]] = {}
    for place in range(count):
        name = names[place] if place < len(names) else ""
        given.setdefault(name, []).append(3 + place)
    return given


def environment() -> Mapping[str, str]:
    """The process's environment; nobody else reads it."""
    return os.environ  # noqa: TID251 - the one place


def read_settings(config: Path | None = None, **options: Any) -> Settings:
    """Every setting from options, environment, file and defaults. Raises SettingsError.

    `config` None means HTTPPROXY_CONFIG, and without that ./httpproxy.toml if there is
    one. Options that are None count as not given.
    """
    file = config_file(config)
    in_file = _keys(file) if file else frozenset()
    given = {name: value for name, value in options.items() if value is not None}

    class Configured(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return Configured(**given)
    except ValidationError as error:
        raise SettingsError(
            [
                _problem(str(e["loc"][0]), e["input"], given, in_file, file)
                for e in _first(error)
            ]
        ) from error
    except UnparsedSetting as error:
        name = next((n for n in Settings.model_fields if f'"{n}"' in str(error)), "?")
        raise SettingsError([_problem(name, None, given, in_file, file)]) from error


def config_file(config: Path | None = None) -> Path | None:
    """The file that settings are read from, None if there is none. Raises SettingsError."""
    named = config or environment().get(f"{_PREFIX}CONFIG") or None
    if named is None:
        return DEFAULT_FILE if DEFAULT_FILE.is_file() else None
    if not Path(named).is_file():
        raise SettingsError([f"{named}: there is no such file (--config, HTTPPROXY_CONFIG)"])
    return Path(named)


def _keys(file: Path) -> frozenset[str]:
    try:
        keys = frozenset(tomllib.loads(file.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{file}: not TOML: {error}"]) from error
    except OSError as error:
        raise SettingsError([f"{file}: cannot be read: {error.strerror}"]) from error
    unknown = sorted(keys - Settings.model_fields.keys())
    if unknown:
        raise SettingsError(
            [f"{key} in {file}: there is no such setting{_nearest(key)}" for key in unknown]
        )
    return keys


def _nearest(key: str) -> str:
    near = get_close_matches(key.lower(), Settings.model_fields, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else "; they are listed in docs/settings.md"


def _first(error: ValidationError) -> list[Any]:
    """One complaint per setting: a union complains once for each of its members."""
    return list({e["loc"][0]: e for e in reversed(error.errors())}.values())[::-1]


def _problem(
    name: str, value: Any, given: Mapping[str, Any], in_file: frozenset[str], file: Path | None
) -> str:
    field = Settings.model_fields.get(name)
    if field is None:
        return f"{name}: there is no such setting{_nearest(name)}"
    if name in given:
        where = f"{name} (--{name.replace('_', '-')})"
    elif environment().get(_PREFIX + name.upper()):
        where = _PREFIX + name.upper()
    elif name == "database_url" and environment().get("DATABASE_URL"):
        where = "DATABASE_URL"
    else:
        where = f"{name} in {file}" if name in in_file else name
    hidden = value is None or is_secret(name) or "@" in str(value)  # user:password@host
    shown = "" if hidden else f" {value!r} cannot be used:"
    return f"{where}:{shown} must be {expected(name)}"


def is_secret(name: str) -> bool:
    """Whether the setting's value may not be shown."""
    return "SecretStr" in str(Settings.model_fields[name].annotation)


def expected(name: str) -> str:
    """What a setting takes, in words."""
    extra = Settings.model_fields[name].json_schema_extra
    return str(extra[EXPECTED]) if isinstance(extra, dict) else ""


def misspelled_variables() -> list[tuple[str, str]]:
    """HTTPPROXY_ variables that set nothing, each with the one that was likely meant."""
    known = {_PREFIX + name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    found = []
    for variable in sorted(environment()):
        if variable.startswith(_PREFIX) and variable not in known:
            near = get_close_matches(variable, known, n=1, cutoff=0.85)
            found += [(variable, near[0])] if near else []
    return found
