"""Every setting of the API: environment variables `DSPY_SERVICE_<NAME>`. `docs/` is generated from this file."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from dspy_service_api.serve.limits import ConnectionLimits
from dspy_service_core.resource.spec import run_defaults
from dspy_service_core.word_list import word_list

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
        default=SecretStr(""),
        description="Token that clients must send, as `Authorization: Bearer <token>`, with auth mode token.",
    )
    auth_mode: AuthMode | None = Field(
        default=None,
        description="Who may call: none (anybody who reaches the address), token (who has the one in TOKEN), "
        "kubernetes (whoever has a token of the cluster, for what RBAC lets them do with optimizationjobs there). When "
        "absent: token where TOKEN is set, otherwise none; none must be given to listen beyond loopback.",
    )
    auth_audiences: Words = Field(
        default_factory=list,
        description="Audiences, comma-separated, of which a token must name one (auth mode kubernetes). Empty: the API "
        "server's own.",
    )
    auth_cache_seconds: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="Seconds for which the cluster's answers about a token and its rights are kept (auth mode "
        "kubernetes). A withdrawn right takes effect that much later. 0 asks at every request.",
    )
    trusted_hosts: Words = Field(
        default_factory=list,
        description="Host names, comma-separated, by which clients may call the API with auth mode none, besides "
        "localhost and IP addresses.",
    )
    trusted_origins: Words = Field(
        default_factory=list,
        description="Web origins, comma-separated (https://app.example.org), whose pages may call the API as the API's "
        "own pages may.",
    )
    tls_cert_file: Path | None = Field(
        default=None,
        description="Certificate chain (PEM) to serve HTTPS with; read again when it changes. Absent: plain HTTP.",
    )
    tls_key_file: Path | None = Field(
        default=None, description="Private key (PEM) of the certificate in TLS_CERT_FILE."
    )
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
        default=None,
        description="YAML file with further modules and optimizers, their default kwargs and allowed prefixes.",
    )
    jobs_run_here: bool = Field(
        default=False,
        description="Jobs run in this process's own Python environment: `GET /catalogue` tells its packages, instead "
        "of those of the runner's image. `dspy-service up` sets it.",
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
    page: bool = Field(
        default=True, description="Serve the web page, at `/` and below `/page`. false: the HTTP API alone."
    )
    page_session_seconds: int = Field(
        default=43_200,
        ge=60,
        le=2_592_000,
        description="Seconds for which a browser stays signed in, if its token lasts that long.",
    )
    page_code: SecretStr = Field(
        default=SecretStr(""),
        description="One-time code that signs a browser in with TOKEN: `<until, in seconds since 1970>.<random>`. "
        "`dspy-service up --token` makes one and prints its address.",
    )
    body_limit_bytes: int = Field(
        default=30 * 1000 * 1000,
        ge=1024,
        description="Bytes of the largest request body; a larger one gets 413. Each byte more takes about eight bytes "
        "more of memory.",
    )
    bodies_memory_bytes: int = Field(
        default=60 * 1000 * 1000,
        ge=1024,
        description="Bytes for all request bodies that are being received or worked on; a body that does not fit gets "
        "503.",
    )
    work_memory_bytes: int = Field(
        default=160 * 1000 * 1000,
        ge=1024,
        description="Bytes for what is made of request bodies while they are read, estimated from their size; what "
        "does not fit waits. A body that would take more by itself is worked on alone.",
    )
    work_wait_seconds: float = Field(
        default=20.0, gt=0, description="Seconds that a request waits for room in WORK_MEMORY_BYTES; then it gets 503."
    )
    most_values: int = Field(
        default=500_000,
        ge=1000,
        description="How many values a request may hold: cells, objects and lists, counted before any of them is "
        "built.",
    )
    most_rows: int = Field(default=200_000, ge=1, description="How many rows a request may hold.")
    most_columns: int = Field(default=1000, ge=1, description="How many columns a row of a request may have.")
    connections: int = Field(
        default=1280,
        ge=1,
        le=1_000_000,
        description="How many connections may be open at once, TLS handshakes included. When all are taken, the one "
        "that has been idle, or has not sent all its headers, for longest is closed; where all are busy, the new one "
        "gets 503. Lowered at start where the limit of open files leaves less.",
    )
    connections_per_peer: int = Field(
        default=256,
        ge=0,
        description="How many connections one address (of IPv6: one /64) may have open at once; 0: no limit.",
    )
    proxies: Words = Field(
        default_factory=list,
        description="Addresses and networks (10.0.0.0/8), comma-separated, that many clients share, such as ingresses "
        "and load balancers: CONNECTIONS_PER_PEER does not apply to them.",
    )
    head_limit_bytes: int = Field(
        default=65_536,
        ge=1024,
        description="How many bytes a request's line and headers may have, its trailers, and what else frames a "
        "chunked body; more get 431.",
    )
    head_limit_fields: int = Field(
        default=100, ge=10, description="How many header fields a request may have; more get 431."
    )
    head_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Seconds that a TLS handshake, and then a request's headers, may take; after them: 408.",
    )
    pause_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Seconds that a body may pause (after them: 408), or that an answer may lie unread (then the "
        "connection is closed).",
    )
    least_bytes_per_second: int = Field(
        default=1000, ge=1, description="Least speed of a body on the whole; PAUSE_SECONDS are allowed on top."
    )
    keep_alive_seconds: int = Field(
        default=5, ge=1, le=3600, description="Seconds that an idle connection is kept open for another request."
    )
    streams: int = Field(
        default=1000,
        ge=0,
        description="How many streams (`GET /jobs/{id}/stream`) may be open at once; one more gets 503. Each takes one "
        "of CONNECTIONS; 0 serves none.",
    )
    stream_ping_seconds: int = Field(
        default=15,
        ge=1,
        le=3600,
        description="Seconds between two comments in a stream where nothing is told, so that nobody on the way takes "
        "it for dead.",
    )
    stream_behind_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Seconds that a stream's reader may take for one event. A slower one is told so and its stream "
        "ends; one that reads nothing is cut off after PAUSE_SECONDS.",
    )
    pipelined_requests: int = Field(
        default=16,
        ge=1,
        description="How many requests may be sent ahead on one connection; with more, it is closed after the next "
        "answer.",
    )
    default_retries: int = Field(
        default=run_defaults.RETRIES,
        ge=0,
        le=run_defaults.MOST_RETRIES,
        description="Further attempts after faults of the infrastructure, for requests without retries.",
    )
    default_deadline_seconds: int = Field(
        default=run_defaults.DEADLINE_SECONDS,
        ge=1,
        le=run_defaults.LONGEST_DEADLINE_SECONDS,
        description="Seconds that a job may run, all attempts together, for requests without a deadline.",
    )
    default_ttl_seconds: int = Field(
        default=run_defaults.TTL_SECONDS,
        ge=0,
        le=run_defaults.LONGEST_TTL_SECONDS,
        description="Seconds after its end at which a job's record is removed, for requests without a TTL.",
    )
    most_threads: int = Field(
        default=run_defaults.MOST_THREADS,
        ge=1,
        le=run_defaults.HIGHEST_THREADS,
        description="How many model calls of one job may be under way at once: the highest value of "
        "run_options.threads. The operator has a setting of the same name.",
    )
    answer_cache_bytes: int = Field(
        default=64 * MEBIBYTE,
        ge=0,
        description="Memory for answers about finished jobs, held compressed: several thousand of them. 0 holds none. "
        "Whoever raises it raises the container's limit of memory as well.",
    )
    newest_entries: int = Field(
        default=5000,
        ge=1,
        le=100_000,
        description="How many log entries, and how many events, an answer holds at most: the newest.",
    )
    page_entries: int = Field(
        default=1000, ge=1, le=5000, description="How many logs or events a page holds when the request gives no limit."
    )
    list_limit: int = Field(
        default=50, ge=1, le=500, description="How many jobs a list holds when the request gives no limit."
    )
    inline_body_bytes: int = Field(
        default=MEBIBYTE,
        ge=0,
        description="Request bodies of more bytes are parsed and checked in a thread, so that other requests go on "
        "meanwhile.",
    )
    delete_wait_seconds: float = Field(
        default=5.0,
        ge=0,
        description="Seconds that DELETE waits for the store; what takes longer is removed by the operator later.",
    )
    last_upload_seconds: float = Field(
        default=30.0,
        ge=0,
        description="Seconds after the DELETE of a running job at which what its pod uploaded while it ended is "
        "removed too.",
    )
    stale_after_seconds: float = Field(
        default=120.0,
        gt=0,
        description="Seconds without a word from the cluster after which the API reports that it is not ready. (Watch "
        "bookmarks count as words.)",
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port on which /metrics is served for Prometheus, without a token; 0: none.",
    )
    metrics_host: str = Field(
        default="", description="Address on which /metrics is served; empty: every address of the machine."
    )
    retry_after_seconds: int = Field(
        default=5, ge=1, description="Seconds in the Retry-After header of answers with 503."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Level of the API's own log. DEBUG logs every request."
    )

    @model_validator(mode="before")
    @classmethod
    def _split_words(cls, given: object) -> object:
        """For these settings an empty variable means one that is not set; pydantic would refuse it as a value."""
        if not isinstance(given, dict):
            return given
        kept = {name: value for name, value in given.items() if value != "" or name not in _ABSENT_IF_EMPTY}
        return {name: word_list(value) if name in _WORDS else value for name, value in kept.items()}

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

    def limits(self, connections: int) -> ConnectionLimits:
        """`connections` is the setting, lowered to what the limit of open files allows."""
        return ConnectionLimits(
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


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
