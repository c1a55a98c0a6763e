"""What the options before the command say, and the settings that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from httpproxy.cli import logs
from httpproxy.cli.failures import USAGE, Failure
from httpproxy.settings.reading import Settings, read_settings
from providers.catalog import PROVIDERS


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of `httpproxy`."""

    config: Path | None
    options: Mapping[str, Any]

    def settings(self, **options: Any) -> Settings:
        """The settings of this run; logging follows them. Raises SettingsError, Failure."""
        settings = read_settings(self.config, **{**self.options, **options})
        _check_upstreams(settings)
        logs.configure(settings.log_level, settings.log_format)
        return settings


def _check_upstreams(settings: Settings) -> None:
    """A misspelled host would send calls to the real API that are meant for a sandbox."""
    hosts = [h for p in PROVIDERS.values() for h in (*p.hosts, *p.token_hosts)]
    for host in settings.upstreams:
        if host not in hosts:
            near = get_close_matches(host, hosts, n=1, cutoff=0.3) or hosts
            raise Failure(
                f"upstreams: no provider has the host {host!r}; did you mean {near[0]}?", USAGE
            )
