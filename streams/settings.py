"""Settings: ioc.toml, overridden by IOC_<SECTION>__<NAME>; secrets only from the environment or files."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from streams.errors import Misconfigured


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Kafka(_Section):
    """bootstrap: host:port of any cluster; None starts the embedded broker. security: passed on to every client."""

    bootstrap: str | None = None
    partitions: int = Field(4, ge=1, le=256)
    replication: int = Field(1, ge=1, le=5)
    retention_hours: int = Field(168, ge=1)
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = Field(None, repr=False)
    ssl_cafile: Path | None = None


class Database(_Section):
    """dsn: of a server where we may create roles and schemas; None starts the embedded TimescaleDB.
    ingest_dsn, reader_dsn, duty_dsn, replay_dsn: logins that exist already; None derives them from dsn and the passwords in the secrets folder.
    For a space, ingest_dsn counts where it is of that space's role."""

    dsn: str | None = Field(None, repr=False)
    ingest_dsn: str | None = Field(None, repr=False)
    reader_dsn: str | None = Field(None, repr=False)
    duty_dsn: str | None = Field(None, repr=False)
    replay_dsn: str | None = Field(None, repr=False)


class Spaces(_Section):
    """most: how many there may be beside live. What a new one may hold, and for how long it stays after its last use. beside_live: records a second that a
    replay plays at most, for each processor that it keeps to, while live takes anything in."""

    most: int = Field(10, ge=0)
    most_rows: int = Field(50_000_000, ge=1)
    most_bytes: int = Field(50_000_000_000, ge=1)
    most_hours: int = Field(720, ge=1)
    beside_live: int = Field(2000, ge=1)


class Worker(_Section):
    """batch: records a transaction takes at most. figures: processes that keep figures level, each for another department at a time (60 to 100 MB)."""

    figures: int = Field(1, ge=1, le=16)
    batch: int = Field(5000, ge=1, le=100_000)
    session_timeout_seconds: float = Field(6.0, ge=1.0)
    metrics_port: int | None = None


class Web(_Section):
    """province: the code of the province on the map (38: Thanh Hóa)."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    province: str = Field("38", pattern=r"^\d{2}$")


class Grafana(_Section):
    """url: of a running Grafana that boards are pushed to. token: of an Admin service account, or user:password.
    database: host:port at which that Grafana reaches the database; None takes the reader's own."""

    url: str | None = None
    token: str | None = Field(None, repr=False)
    database: str | None = None


class Wall(_Section):
    """Who may look at the wall, and how much at a time. login: ways in; none lets everyone look who reaches the address, so `ioc serve`
    then listens on loopback only, unless open_to_all. public: boards that need no login, small cells suppressed. hosts: names the wall
    is asked for by (none: any, but loopback's own names on loopback). trusted_proxies: whose forwarding headers and user_header are
    believed. operators: users of the proxy who may take and silence alarms and see all screens. key_file: the key of links (default:
    secrets/wall.key in the state folder)."""

    login: tuple[Literal["link", "proxy"], ...] = ()
    open_to_all: bool = False
    public: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    user_header: str = Field("X-Forwarded-User", pattern=r"^[A-Za-z0-9-]{1,60}$")
    operators: tuple[str, ...] = ()
    key_file: Path | None = None
    requests_per_second: float = Field(50.0, gt=0)
    streams_per_address: int = Field(50, ge=1)

    @model_validator(mode="after")
    def _knows_its_proxy(self) -> "Wall":
        if "proxy" in self.login and not self.trusted_proxies:
            raise ValueError("login by proxy needs trusted_proxies, the addresses whose header is believed")
        return self


class _Named(_Section):
    """What has a name and may need a secret. credential: `env:NAME` or `file:PATH`, never the secret."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    credential: str | None = None

    @field_validator("credential")
    @classmethod
    def _is_reference(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("env:", "file:")):
            raise ValueError("write env:NAME or file:PATH here, not the secret itself")
        return value

    def secret(self) -> bytes | None:
        """The credential's bytes. Raises Misconfigured when it is named but not there."""
        if self.credential is None:
            return None
        who = f"{type(self).__name__.lower()} {self.name}"
        how, _, where = self.credential.partition(":")
        if how == "env":
            if where not in os.environ:
                raise Misconfigured(f"{who}: the environment has no {where}", f"export {where}=...")
            return os.environ[where].encode()
        try:
            return Path(where).read_bytes().strip()
        except OSError as error:
            raise Misconfigured(f"{who}: cannot read {where} ({error.strerror})", "write the secret into that file, mode 600") from error


class Source(_Named):
    """One source of records: which connector, which department, where, how often."""

    department: str
    connector: Literal["rest", "fhir", "webhook", "files", "query"]
    format: str | None = None
    url: str | None = None
    path: Path | None = None
    interval_seconds: float = Field(5.0, gt=0)
    timeout_seconds: float = Field(20.0, gt=0)
    units: Mapping[str, str] = {}
    options: Mapping[str, str | int | float | bool] = {}


class Channel(_Named):
    """One way to tell people. mail: host, port, security, user, sender, recipients; credential: the user's password. telegram: chat; credential:
    the bot's token; url: of a Bot API of one's own. webhook: url; credential: the key that signs. alertmanager: url; credential: a bearer token.
    give_up_hours: for how long a message is tried again."""

    kind: Literal["mail", "telegram", "webhook", "alertmanager"]
    url: str | None = Field(None, repr=False)
    host: str | None = None
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    chat: str | None = None
    timeout_seconds: float = Field(10.0, gt=0, le=60)
    give_up_hours: float = Field(24.0, gt=0)


_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"


class Route(_Section):
    """Who is told. quiet_hours: `22:00-06:00`, Vietnamese time, when only critical rules ring; escalate_to: the channels that are told when
    nobody has acknowledged for escalate_after_minutes; digest_at: `07:30`, when yesterday's alarms are sent."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{2,59}$")
    channels: tuple[str, ...] = Field(min_length=1)
    quiet_hours: str | None = Field(None, pattern=f"^{_CLOCK}-{_CLOCK}$")
    escalate_after_minutes: int | None = Field(None, ge=1)
    escalate_to: tuple[str, ...] = ()
    digest_at: str | None = Field(None, pattern=f"^{_CLOCK}$")

    @model_validator(mode="after")
    def _escalates_to_somebody(self) -> "Route":
        if (self.escalate_after_minutes is None) != (not self.escalate_to):
            raise ValueError("escalate_after_minutes and escalate_to go together")
        return self


class Alerts(_Section):
    """regroup_minutes: units that join an alarm are told together, this far apart. wall_url: what links begin with. heartbeat_url: asked every
    30 s while rules are evaluated."""

    regroup_minutes: int = Field(5, ge=1, le=1440)
    wall_url: str | None = Field(None, pattern=r"^https?://[^\s]+[^/\s]$")
    heartbeat_url: str | None = Field(None, pattern=r"^https?://[^\s]+$", repr=False)


class Archive(_Named):
    """Where what is old goes: a folder (None: archive/ in the state folder), or a bucket of an S3-compatible store at `url`. key_id: its access
    key; credential: the secret that goes with it; without them the environment's own (AWS_*). events_after_days: how old an hour's events are when
    they are copied. drop_after_days: how old, when the archived ones leave the table; None: never. raw: keep what sources sent, sealed."""

    name: str = "archive"
    folder: Path | None = None
    bucket: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9.-]{1,62}$")
    url: str | None = Field(None, pattern=r"^https?://[^\s]+$")
    region: str = "us-east-1"
    key_id: str | None = None
    events_after_days: int = Field(30, ge=1)
    drop_after_days: int | None = Field(None, ge=1)
    raw: bool = False

    @model_validator(mode="after")
    def _drops_what_it_has(self) -> "Archive":
        if self.drop_after_days is not None and self.drop_after_days <= self.events_after_days:
            raise ValueError("drop_after_days must be more than events_after_days")
        if self.folder is not None and self.bucket is not None:
            raise ValueError("archive in a folder or in a bucket, not both")
        return self


def space_name(value: str) -> str:
    """`value` if a space may have that name. Raises ValueError, saying why not."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", value):
        raise ValueError("a space is named by lower-case letters, digits and dashes")
    if re.fullmatch(r"(board|pg|timescaledb|information)(-.*)?|ioc|public", value):
        raise ValueError(f"{value} is no name for a space: the database has schemas of that name")
    return value


class Settings(BaseSettings):
    """Everything the program can be told. `load` is the way to get one."""

    model_config = SettingsConfigDict(env_prefix="IOC_", env_nested_delimiter="__", extra="ignore", frozen=True)

    state_dir: Path = Path(".run")
    space: str = "live"
    kafka: Kafka = Kafka()
    database: Database = Database()
    spaces: Spaces = Spaces()
    worker: Worker = Worker()
    web: Web = Web()
    grafana: Grafana = Grafana()
    wall: Wall = Wall()
    sources: tuple[Source, ...] = ()
    alerts: Alerts = Alerts()
    archive: Archive = Archive()
    channels: tuple[Channel, ...] = ()
    routes: tuple[Route, ...] = ()

    @field_validator("space")
    @classmethod
    def _is_name(cls, value: str) -> str:
        return space_name(value)

    @model_validator(mode="after")
    def _knows_its_channels(self) -> "Settings":
        for what, held in (("channels", self.channels), ("routes", self.routes)):
            names = [each.name for each in held]
            if len(names) != len(set(names)):
                raise ValueError(f"two {what} have the same name")
        known = {channel.name for channel in self.channels}
        for route in self.routes:
            lost = [name for name in (*route.channels, *route.escalate_to) if name not in known]
            if lost:
                raise ValueError(f"route {route.name}: there is no channel {lost[0]} (known: {', '.join(sorted(known)) or 'none'})")
        return self

    def route(self, name: str) -> Route | None:
        """The route of that name, else the one named `default`, else none."""
        held = {route.name: route for route in self.routes}
        return held.get(name) or held.get("default")

    def source(self, name: str) -> Source:
        """The source of that name. Raises Misconfigured, naming those there are."""
        for source in self.sources:
            if source.name == name:
                return source
        known = ", ".join(s.name for s in self.sources) or "none yet"
        raise Misconfigured(f"there is no source named {name} (known: {known})", "add a [[sources]] table to ioc.toml, or give --config")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = os.environ.get("IOC_CONFIG")
        toml = TomlConfigSettingsSource(settings_cls, Path(path) if path else None)
        return init_settings, env_settings, toml


def load(config: Path | None = None, **overrides: Any) -> Settings:
    """The settings: overrides, then IOC_* variables, then the TOML file (`config`, else IOC_CONFIG, else ./ioc.toml if there).

    Raises Misconfigured with every wrong field named.
    """
    chosen = config or (Path(os.environ["IOC_CONFIG"]) if os.environ.get("IOC_CONFIG") else None)
    if chosen is not None and not chosen.is_file():
        raise Misconfigured(f"the configuration {chosen} is not there", "give --config FILE or set IOC_CONFIG")
    if chosen is None and Path("ioc.toml").is_file():
        chosen = Path("ioc.toml")
    if chosen is not None:
        os.environ["IOC_CONFIG"] = str(chosen)  # so that processes started from here read the same file
    try:
        return Settings(**overrides)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise Misconfigured(f"the configuration is wrong: {wrong}", "mend ioc.toml or the IOC_ variable named") from error
    except ValueError as error:  # a TOML that cannot be read
        raise Misconfigured(f"{chosen} cannot be read: {error}", "mend the file") from error
