"""Who is built from what.

    office <- directory, committer <- loader
           <- intents, settlement <- doubts
           <- accounts, writes <- gateway, house
           <- reading <- listening, rereading, listing, truth <- engine

`service` opens the parts and closes them again.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from httpproxy.api.house import House
from httpproxy.exchange.authorization.account import Accounts
from httpproxy.exchange.authorization.standin import StandIn
from httpproxy.exchange.directory.syncs import Directory
from httpproxy.exchange.forwarding.dryrun import DryRun
from httpproxy.exchange.forwarding.intake import Intake
from httpproxy.exchange.forwarding.write import Writes
from httpproxy.exchange.relay import Parts, Relay
from httpproxy.exchange.schema.rediscovery import Rediscovery
from httpproxy.exchange.settling.doubts import Doubts
from httpproxy.exchange.settling.overlaps import Settlement
from httpproxy.gateway.callers import TrustedProxies
from httpproxy.gateway.connection import Limits
from httpproxy.gateway.descriptors import room_for
from httpproxy.gateway.server import Doorway, Gateway
from httpproxy.management.services import make_services
from httpproxy.mutations.carrying import Sender
from httpproxy.mutations.run import Mutations
from httpproxy.office import Office, make_reading, request_ids, wall_clock
from httpproxy.settings.reading import Settings
from httpproxy.sharing.leasing import Leasing
from httpproxy.sharing.presence import Presence
from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Committer
from httpproxy.store.events import Events
from httpproxy.store.intents.book import Intents
from httpproxy.store.intents.claims import Claims
from httpproxy.store.replicas import Replicas
from httpproxy.store.secrets.keys import Keys
from httpproxy.store.sharing.epochs import Epochs
from httpproxy.store.sync.owners import Owners
from httpproxy.store.sync.rows import Rows
from httpproxy.streams.reading import make_streams
from httpproxy.streams.tail import Bounds
from httpproxy.sync.engine import Engine, Jobs
from httpproxy.sync.listening import Listening
from httpproxy.sync.listing import Listing
from httpproxy.sync.ownership import Ownership
from httpproxy.sync.plan import SweepPolicy
from httpproxy.sync.rereading import Rereading
from httpproxy.sync.troubles import Troubles
from httpproxy.sync.truth import Meter, Truth
from httpproxy.tasks import Spawn
from httpproxy.telemetry.watch import Watch
from httpproxy.upstream.deadlines import Deadlines


@dataclass(frozen=True)
class Core:
    """What the doors and the sync share."""

    office: Office
    committer: Committer
    directory: Directory
    rediscovery: Rediscovery
    presence: Presence
    leasing: Leasing
    intents: Intents
    settlement: Settlement
    watch: Watch
    keys: Keys
    spawn: Spawn


@dataclass(frozen=True)
class Carrying:
    """What carries the application's calls, whichever door they come in by."""

    accounts: Accounts
    writes: Writes
    dry_run: DryRun
    standin: StandIn


def make_carrying(core: Core) -> Carrying:
    """The exchange, for all doors of this process."""
    office, committer, settings = core.office, core.committer, core.office.settings
    accounts = Accounts(office.conversations, office.vault.fingerprint, time.monotonic)
    deadlines = Deadlines(settings.commit_timeout)
    intake = Intake(
        committer,
        core.intents,
        core.settlement,
        core.rediscovery,
        deadlines,
        core.spawn,
    )
    writes = Writes(
        client=office.client,
        committer=committer,
        intents=core.intents,
        registry=office.registry,
        accounts=accounts,
        intake=intake,
        permit_timeout=settings.permit_timeout,
        deadlines=deadlines,
        wall_clock=wall_clock,
        trusted=core.leasing.trusted,
        forwards_blind=settings.on_database_down == "forward",
    )
    return Carrying(
        accounts=accounts,
        writes=writes,
        dry_run=DryRun(accounts, office.registry, Rows(office.database)),
        standin=StandIn(core.keys, office.conversations, office.tokens),
    )


def make_gateway(core: Core, carrying: Carrying) -> Gateway:
    """The door for calls that travel on as they come."""
    settings = core.office.settings
    return Gateway(
        Doorway(
            directory=core.directory,
            accounts=carrying.accounts,
            writes=carrying.writes,
            dry_run=carrying.dry_run,
            standin=carrying.standin,
            pseudonym=settings.pseudonym,
            max_body=settings.max_request_bytes,
            new_request_id=request_ids(),
            trusted=TrustedProxies(settings.trusted_proxies),
            watch=core.watch,
        )
    )


def make_relay(core: Core, carrying: Carrying) -> Relay:
    """What carries calls that name a sync or a credential."""
    office = core.office
    return Relay(
        Parts(
            directory=core.directory,
            registry=office.registry,
            accounts=carrying.accounts,
            writes=carrying.writes,
            dry_run=carrying.dry_run,
            standin=carrying.standin,
            tokens=office.tokens,
            limiter=office.limiter,
            watch=core.watch,
            pseudonym=office.settings.pseudonym,
            permit_timeout=office.settings.permit_timeout,
        )
    )


def make_mutations(core: Core, carrying: Carrying, replicas: Replicas) -> Mutations:
    """What changes records, and tells what became of each."""
    office = core.office
    claims = Claims(office.database)
    sender = Sender(carrying.writes, carrying.standin, claims, core.watch)
    return Mutations(
        sender, carrying.dry_run, core.directory, office.registry, replicas, office.database
    )


def make_house(core: Core, carrying: Carrying, replicas: Replicas) -> House:
    """What the operations of /v1 work with."""
    settings = core.office.settings
    bounds = Bounds(settings.max_streams, settings.max_streams_per_key)
    streams = make_streams(core.office, time.monotonic, bounds)
    core.committer.heard = streams.tail.stir
    return House(
        core.office,
        make_services(core.office, core.keys),
        replicas,
        make_relay(core, carrying),
        make_mutations(core, carrying, replicas),
        streams,
    )


def limits_of(settings: Settings) -> Limits:
    """What the gateway bears of its clients."""
    return Limits(
        max_body=settings.max_request_bytes,
        head=settings.head_timeout,
        idle=settings.idle_timeout,
        connections=room_for(settings.max_client_connections, settings.max_connections),
        trusted=TrustedProxies(settings.trusted_proxies),
    )


def make_doubts(core: Core) -> Doubts:
    """What looks after calls in doubt."""
    return Doubts(
        intents=core.intents,
        directory=core.directory,
        registry=core.office.registry,
        events=Events(core.office.database),
        rows=Rows(core.office.database),
        settlement=core.settlement,
        committer=core.committer,
        spawn=core.spawn,
        now=time.monotonic,
        kept_seconds=core.office.settings.idempotency_hours * 3600,
    )


def make_engine(core: Core, loader: Loader) -> Engine:
    """What keeps the tables equal to the APIs."""
    office, settings = core.office, core.office.settings
    reading = make_reading(office, core.committer, loader)
    troubles = Troubles(office.progress, time.monotonic)
    shared = (reading, office.progress, office.registry)
    policy = SweepPolicy(
        settings.sweep_interval, settings.mass_delete_share, settings.mass_delete_minimum
    )
    jobs = Jobs(
        registry=office.registry,
        progress=office.progress,
        epochs=Epochs(office.database),
        listening=Listening(
            *shared, core.rediscovery, troubles, wall_clock, settings.sync_interval
        ),
        rereading=Rereading(*shared, troubles),
        listing=Listing(*shared, core.rediscovery, troubles, policy, wall_clock),
        rediscovery=core.rediscovery,
        meter=Meter(
            Truth(reading, office.comparing, office.registry),
            office.progress,
            troubles,
            sample=settings.verify_sample,
            interval=settings.verify_interval,
            suspicion=2 * settings.sync_interval,
            pick=secrets.choice,
        ),
        troubles=troubles,
        usage=reading.usage,
        discovery_interval=settings.discovery_interval,
        watch=core.watch,
    )
    ownership = Ownership(Owners(office.database), core.presence)
    most = settings.sync_concurrency
    return Engine(core.directory, jobs, ownership, core.spawn, time.monotonic, most)
