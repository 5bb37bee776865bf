"""Every setting of `dspy-service up`: options of the command, or environment variables `DSPY_SERVICE_<NAME>`.

Settings of the API and the operator may be given to `up` as well, by the same variables: it passes them on.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from dspy_service_core.word_list import word_list
from dspy_service_local.node.processes.launch import POD_USER

Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(word_list)]


class LocalSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="DSPY_SERVICE_", frozen=True, extra="ignore")

    host: str = Field(
        default="127.0.0.1",
        description="Address that the HTTP API listens on. Elsewhere than on loopback a token must be asked for.",
    )
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port that the HTTP API listens on; 0 takes a free one."
    )
    token: SecretStr = Field(
        default=SecretStr(""), description="Token that clients of the HTTP API must send; empty: none."
    )
    own_token: bool = Field(
        default=False,
        description="Make a token where none is given (`--token` without a value), keep it in the data folder, and let "
        "this user's own command line and client find it there. Jobs cannot.",
    )
    auth_mode: Literal["", "none", "token", "kubernetes"] = Field(
        default="", description="The HTTP API's setting of that name; empty: token where TOKEN is set, otherwise none."
    )
    data_dir: Path = Field(
        default=Path("~/.dspy-service"),
        description="Folder that holds all state: resources, store, logs and kubeconfig.",
    )
    concurrency: int = Field(
        default=4, ge=0, description="How many jobs may run at the same time; 0 holds all in the queue."
    )
    prewarmed: int = Field(
        default=1,
        ge=0,
        le=1,
        description="Keep processes with dspy imported, from which those of jobs are forked: a job starts at once, for "
        "about 85 MB. 0: none. (Inside the sandbox alone.)",
    )
    sandbox: Literal["auto", "require", "off"] = Field(
        default="auto", description="Whether jobs run inside bubblewrap: where it works, always, or never."
    )
    flush_interval_seconds: float = Field(
        default=1, gt=0, description="Seconds within which logs, events and answered model calls reach the store."
    )
    progress_interval_seconds: float = Field(
        default=0.5,
        gt=0,
        description="Least seconds between two progress reports of a job: what a call of the metric "
        "changed is in its status within the double.",
    )
    key_hosts: Words = Field(
        default=("127.0.0.1", "localhost", "::1"),
        description="Hosts of a model's base_url that get the service's own keys, separated by commas.",
    )
    model_key_variables: Words = Field(
        default=(
            *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_API_KEY", "COHERE_API_KEY", "DEEPSEEK_API_KEY"),
            *("FIREWORKS_AI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "GROQ_API_KEY", "HF_TOKEN"),
            *("MISTRAL_API_KEY", "MOONSHOT_API_KEY", "OPENROUTER_API_KEY", "PERPLEXITYAI_API_KEY"),
            *("TOGETHERAI_API_KEY", "XAI_API_KEY"),
        ),
        description="Variables of `up`'s own environment that hold model keys of the service, separated by commas. "
        "They go into a Secret, from which a job gets the one that its model needs; nothing else sees them.",
    )
    pod_environment: Words = Field(
        default=(
            *("PATH", "LANG", "LC_ALL", "TZ"),
            *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        ),
        description="Variables of `up`'s own environment that every job sees, separated by commas. Behind a proxy add "
        "HTTPS_PROXY and NO_PROXY (the latter with 127.0.0.1).",
    )
    job_endpoints: Words = Field(
        default=(),
        description="What every job reaches besides the internet and the endpoints of its own models, as host:port "
        "separated by commas: a proxy, a package index or a data server of this machine or of a private network. Never "
        "a port of the service itself. (Where jobs have a network of their own: in the sandbox, with slirp4netns.)",
    )
    job_connections: int = Field(
        default=128,
        ge=1,
        description="How many connections one job may have to such endpoints at the same time; further ones wait.",
    )
    pod_user: int = Field(
        default=POD_USER,
        ge=1,
        lt=2**32 - 1,
        description="User, and group, that the processes of jobs run as inside the sandbox where `up` runs as root.",
    )
    pod_processes: int = Field(
        default=512, ge=16, description="How many processes a job's container may have; one with more is evicted."
    )
    pod_open_files: int = Field(default=4096, ge=64, description="How many files one process of a job may have open.")
    pod_nice: int = Field(
        default=5, ge=0, le=19, description="Nice value of jobs' processes, so that the service itself goes first."
    )
    cluster_port: int = Field(
        default=0, ge=0, le=65535, description="Port of the embedded cluster's API, on loopback; 0 takes a free one."
    )
    api_metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port, on loopback, of the HTTP API's metrics; 0: none."
    )
    operator_metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port, on loopback, of the operator's metrics; 0: none."
    )
    start_timeout_seconds: float = Field(
        default=60, gt=0, description="Seconds within which the API and the operator must be ready."
    )
    log_level: str = Field(default="INFO", description="Level of the logs in the data folder.")

    @field_validator("job_endpoints")
    @classmethod
    def _endpoints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            host, _, port = entry.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
                raise ValueError(f"'{entry}' is no host:port")
        return value

    @property
    def folder(self) -> Path:
        return self.data_dir.expanduser().absolute()

    @property
    def makes_token(self) -> bool:
        return self.own_token and not self.token.get_secret_value()
