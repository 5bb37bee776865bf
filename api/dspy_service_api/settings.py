"""Every setting of the API: environment variables `DSPY_SERVICE_<NAME>`. `docs/` is generated from this file."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from dspy_service_api.front.limits import Limits

MEBIBYTE = 1024 * 1024
AuthMode = Literal["none", "token", "kubernetes"]
Words = Annotated[list[str], NoDecode]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="DSPY_SERVICE_", extra="ignore", frozen=True)

    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. Any other than a loopback address needs a token to be asked for.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    token: SecretStr = Field(
        default=SecretStr(""), description="Clients send it as `Authorization: Bearer <token>`, with auth mode token."
    )
    auth_mode: AuthMode | None = Field(
        default=None,
        description="Who may call: none (anybody who reaches the address), token (who has the one in TOKEN), "
        "kubernetes (whom the cluster's TokenReview knows, for what RBAC lets them do with optimizationjobs there). "
        "Absent: token where one is set, else none, which any other than a loopback address must be told.",
    )
    auth_audiences: Words = Field(
        default_factory=list,
        description="Audiences, comma-separated, one of which a token must be made for (auth mode kubernetes); "
        "empty: the API server's own.",
    )
    auth_cache_seconds: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="How long the cluster's answers about a token and its rights are kept (auth mode kubernetes): "
        "so late a withdrawn right takes effect. 0 asks at every request.",
    )
    trusted_hosts: Words = Field(
        default_factory=list,
        description="Names, comma-separated, that the Host header may hold with auth mode none, beside localhost and "
        "IP addresses.",
    )
    trusted_origins: Words = Field(
        default_factory=list,
        description="Web origins, comma-separated (https://app.example.org), whose pages may call the API, as "
        "its own may.",
    )
    tls_cert_file: Path | None = Field(
        default=None,
        description="Certificate chain (PEM) to serve HTTPS with; read again when it changes. Absent: plain HTTP.",
    )
    tls_key_file: Path | None = Field(default=None, description="Its private key (PEM).")
    kubeconfig: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("kubeconfig", "KUBECONFIG"),
        description="Kubeconfig of the cluster; absent: the pod's own service account. (Variable: KUBECONFIG.)",
    )
    namespace: str = Field(default="default", description="The one namespace whose jobs the API serves.")
    store_url: str = Field(
        default="file:///var/lib/dspy-service/store",
        description="Where payloads, logs, events and artifacts live: file:///..., s3://, gs:// or az://.",
    )
    registry: Path | None = Field(
        default=None, description="YAML file with the operators' own aliases, default kwargs and allowed prefixes."
    )
    refuse_credentials: bool = Field(
        default=False,
        description="Refuse requests that carry credentials with 422, instead of keeping those in a Secret of the job.",
    )
    allowed_base_url_hosts: Words = Field(
        default_factory=list,
        description="Hosts that a model's base_url may name, comma-separated; *.example.org means every host below it. "
        "A model without a base_url is asked at its provider's own endpoint. Empty: any.",
    )
    own_ports: Words = Field(
        default_factory=list,
        description="Ports of this machine that the service itself listens on, separated by commas, where jobs run on "
        "the same machine: no model's base_url may name them. `dspy-service up` sets it.",
    )
    body_limit_bytes: int = Field(
        default=30 * 1000 * 1000,
        ge=1024,
        description="Largest request body; above it: 413. A larger one asks for more memory as well: about eight times "
        "as much more.",
    )
    bodies_memory_bytes: int = Field(
        default=60 * 1000 * 1000,
        ge=1024,
        description="Room for all request bodies that are being received or held; what does not fit gets 503.",
    )
    work_memory_bytes: int = Field(
        default=160 * 1000 * 1000,
        ge=1024,
        description="Room for what is made of request bodies, by an estimate from their bytes; what does not fit "
        "waits. A body that would take more by itself is worked on alone.",
    )
    work_wait_seconds: float = Field(
        default=20.0, gt=0, description="How long a request waits for that room before it gets 503."
    )
    most_values: int = Field(
        default=500_000,
        ge=1000,
        description="Values of a request at most: cells, objects and lists, counted before any of them is built.",
    )
    most_rows: int = Field(default=200_000, ge=1, description="Rows of a request at most.")
    most_columns: int = Field(default=1000, ge=1, description="Columns of a row of a request at most.")
    connections: int = Field(
        default=768,
        ge=1,
        le=1_000_000,
        description="Connections at once, TLS handshakes included. When all are taken, the one that has been idle, or "
        "has not sent a whole head, for longest gives way; where all are busy, the newcomer gets a 503. Lowered at "
        "start where the limit of open files leaves less.",
    )
    connections_per_peer: int = Field(
        default=256,
        ge=0,
        description="The same for one address (of IPv6: one /64); 0: no limit.",
    )
    proxies: Words = Field(
        default_factory=list,
        description="Addresses and networks (10.0.0.0/8), comma-separated, that many clients stand behind, ingresses "
        "and load balancers: CONNECTIONS_PER_PEER is not for them.",
    )
    head_limit_bytes: int = Field(
        default=65_536,
        ge=1024,
        description="Bytes of a request's line and headers, of its trailers, and of what else frames a chunked body; "
        "above it: 431.",
    )
    head_limit_fields: int = Field(default=100, ge=10, description="Header fields of a request; above it: 431.")
    head_seconds: float = Field(
        default=10.0,
        gt=0,
        description="How long a TLS handshake, and then a request's headers, may take; after it: 408.",
    )
    pause_seconds: float = Field(
        default=30.0,
        gt=0,
        description="How long a body may pause, or an answer lie unread; after it: 408, or the connection ends.",
    )
    least_bytes_per_second: int = Field(
        default=1000, ge=1, description="What a body must come in with on the whole, PAUSE_SECONDS set aside."
    )
    keep_alive_seconds: int = Field(
        default=5, ge=1, le=3600, description="How long an idle connection is kept for a next request."
    )
    pipelined_requests: int = Field(
        default=16,
        ge=1,
        description="Requests sent ahead on one connection; more of them end it after the next answer.",
    )
    default_retries: int = Field(
        default=2, ge=0, le=10, description="Further attempts after infrastructure faults, for jobs that give none."
    )
    default_deadline_seconds: int = Field(
        default=86_400, ge=1, le=2_592_000, description="Longest run of jobs that give no deadline."
    )
    default_ttl_seconds: int = Field(
        default=7 * 86_400, ge=0, le=31_536_000, description="How long the record of a finished job stays."
    )
    answer_cache_bytes: int = Field(
        default=1024 * MEBIBYTE,
        ge=0,
        description="Room in the folder for temporary files (TMPDIR) for ready answers about finished jobs.",
    )
    prepared_jobs: int = Field(
        default=10_000,
        ge=0,
        description="Of how many finished jobs, the newest, answers are made ready ahead, if the store is a folder.",
    )
    newest_entries: int = Field(
        default=5000, ge=1, le=100_000, description="How many log entries and events an answer holds at most."
    )
    page_entries: int = Field(
        default=1000, ge=1, le=5000, description="Entries of a page of logs or events that gives no limit."
    )
    list_limit: int = Field(default=50, ge=1, le=500, description="Jobs of a list that gives no limit.")
    inline_body_bytes: int = Field(
        default=MEBIBYTE,
        ge=0,
        description="Larger request bodies are parsed and checked in a thread, so that other requests go on meanwhile.",
    )
    delete_wait_seconds: float = Field(
        default=5.0, ge=0, description="How long DELETE waits for the store; what takes longer is left to the sweep."
    )
    last_upload_seconds: float = Field(
        default=30.0,
        ge=0,
        description="What a running job's pod uploads after DELETE, while it ends, is removed after so long.",
    )
    stale_after_seconds: float = Field(
        default=120.0,
        gt=0,
        description="Not ready when the cluster has been silent for so long (watch bookmarks count).",
    )
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Where /metrics is served for Prometheus, without a token; 0: nowhere."
    )
    metrics_host: str = Field(
        default="", description="Address that the metrics' port listens on; empty: every one of the machine."
    )
    retry_after_seconds: int = Field(default=5, ge=1, description="Retry-After of answers with 503.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Level of the API's own log: DEBUG tells of every request."
    )

    @model_validator(mode="before")
    @classmethod
    def _split_words(cls, given: object) -> object:
        """An empty variable is one that is not set, which a choice of words would not take."""
        if not isinstance(given, dict):
            return given
        kept = {name: value for name, value in given.items() if value != "" or name not in _ABSENT_IF_EMPTY}
        return {name: _words(value) if name in _WORDS else value for name, value in kept.items()}

    @model_validator(mode="after")
    def _no_open_door(self) -> Self:
        token = bool(self.token.get_secret_value())
        if self.auth_mode is None and not token and not self.on_loopback:
            raise ValueError(
                f"host '{self.host}' is no loopback address: set DSPY_SERVICE_TOKEN, or DSPY_SERVICE_AUTH_MODE to "
                "kubernetes (or to none, deliberately)"
            )
        if self.auth_mode == "token" and not token:
            raise ValueError("DSPY_SERVICE_AUTH_MODE is token: set DSPY_SERVICE_TOKEN as well")
        if self.auth_mode in ("none", "kubernetes") and token:
            raise ValueError(f"DSPY_SERVICE_AUTH_MODE {self.auth_mode} leaves DSPY_SERVICE_TOKEN unused: unset one")
        return self

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError(
                "DSPY_SERVICE_TLS_CERT_FILE and DSPY_SERVICE_TLS_KEY_FILE belong together: set both or none"
            )
        return self

    @model_validator(mode="after")
    def _networks(self) -> Self:
        for proxy in self.proxies:
            try:
                ip_network(proxy, strict=False)
            except ValueError:
                raise ValueError(f"DSPY_SERVICE_PROXIES: '{proxy}' is no address and no network") from None
        return self

    def limits(self, connections: int) -> Limits:
        """`connections` is what the descriptors leave of the setting."""
        return Limits(
            connections=connections,
            per_peer=self.connections_per_peer,
            shared=self.shared_networks,
            head_bytes=self.head_limit_bytes,
            head_fields=self.head_limit_fields,
            head_seconds=self.head_seconds,
            pause_seconds=self.pause_seconds,
            bytes_per_second=self.least_bytes_per_second,
            pipelined=self.pipelined_requests,
        )

    @property
    def shared_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        return tuple(ip_network(proxy, strict=False) for proxy in self.proxies)

    @property
    def auth(self) -> AuthMode:
        return self.auth_mode or ("token" if self.token.get_secret_value() else "none")

    @property
    def on_loopback(self) -> bool:
        return is_loopback(self.host)


_WORDS = frozenset(
    {"proxies", "trusted_hosts", "trusted_origins", "auth_audiences", "allowed_base_url_hosts", "own_ports"}
)
_ABSENT_IF_EMPTY = frozenset({"auth_mode", "tls_cert_file", "tls_key_file"})


def _words(value: object) -> object:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
