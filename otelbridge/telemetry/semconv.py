"""Every name that is told, and the profiles that choose among them.

No other module of the package writes an attribute, event or metric name.

Source: OpenTelemetry semantic conventions 1.41.1 for `V1_41`, the repository
open-telemetry/semantic-conventions-genai of October 2026 for `LATEST`, the
core repository for RPC, user, server and error attributes. ``aibridge.*``
names facts of the records that no convention names, ``otelbridge.*`` the
bridge's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_GENAI = "https://github.com/open-telemetry/semantic-conventions-genai"
_CORE = "https://opentelemetry.io/docs/specs/semconv/registry/attributes/"
_OWN = "otelbridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """An attribute that may be told.

    Attributes:
        key: Its name.
        description: One sentence.
        source: Where it is defined: a convention's address, or ``otelbridge``.
    """

    key: str
    description: str
    source: str


_ATTRIBUTES: dict[str, Attribute] = {}


def _define(key: str, description: str, source: str) -> str:
    _ATTRIBUTES[key] = Attribute(key=key, description=description, source=source)
    return key


def _genai(key: str, description: str) -> str:
    return _define(key, description, _GENAI)


def _core(key: str, description: str) -> str:
    return _define(key, description, _CORE)


def _own(key: str, description: str) -> str:
    return _define(key, description, _OWN)


# --- GenAI and MCP conventions -------------------------------------------------------------
OPERATION_NAME = _genai("gen_ai.operation.name", "What was done: chat or execute_tool.")
PROVIDER_NAME = _genai("gen_ai.provider.name", "The provider, by the convention's name.")
REQUEST_MODEL = _genai("gen_ai.request.model", "The model that was asked for.")
RESPONSE_ID = _genai(
    "gen_ai.response.id", "The provider's id of the response; of several the last."
)
CONVERSATION_ID = _genai("gen_ai.conversation.id", "The client's name for its conversation.")
INPUT_MESSAGES = _genai("gen_ai.input.messages", "The user's prompts, as JSON; content.")
OUTPUT_MESSAGES = _genai("gen_ai.output.messages", "The model's reasoning, as JSON; content.")
INPUT_TOKENS = _genai("gen_ai.usage.input_tokens", "Input tokens, cached ones included.")
OUTPUT_TOKENS = _genai("gen_ai.usage.output_tokens", "Output tokens, reasoning included.")
CACHE_READ_TOKENS = _genai(
    "gen_ai.usage.cache_read.input_tokens", "Input tokens read from the provider's cache."
)
CACHE_WRITE_TOKENS = _genai(
    "gen_ai.usage.cache_write.input_tokens", "Input tokens written to the provider's cache."
)
CACHE_CREATION_TOKENS = _genai(
    "gen_ai.usage.cache_creation.input_tokens",
    "Input tokens written to the provider's cache, by the name of 1.41.",
)
REASONING_TOKENS = _genai(
    "gen_ai.usage.reasoning.output_tokens", "Output tokens spent on reasoning, a subset."
)
TOKEN_TYPE = _genai("gen_ai.token.type", "Which tokens a sample counts: input or output.")
TOKEN_MODALITY = _genai("gen_ai.token.modality", "What tokens stand for: text, audio or unknown.")
TOOL_NAME = _genai("gen_ai.tool.name", "The tool's name.")
TOOL_CALL_ID = _genai("gen_ai.tool.call.id", "The provider's id of the tool call.")
TOOL_TYPE = _genai("gen_ai.tool.type", "extension if the gateway ran the tool, else function.")
TOOL_ARGUMENTS = _genai("gen_ai.tool.call.arguments", "The tool's arguments, as JSON; content.")
MCP_METHOD = _genai("mcp.method.name", "The MCP request that ran the tool: tools/call.")

# --- Conventions of the core repository ----------------------------------------------------
ERROR_TYPE = _core("error.type", "Why it failed, in one word.")
SERVER_ADDRESS = _core("server.address", "Host of the MCP server.")
SERVER_PORT = _core("server.port", "Port of the MCP server.")
USER_ID = _core("user.id", "Who made the request.")
USER_NAME = _core("user.name", "That user's name.")
AGENT_NAME = _core("user_agent.name", "The coding agent that made the request.")
AGENT_ORIGINAL = _core("user_agent.original", "The request's User-Agent header.")
RPC_SYSTEM = _core("rpc.system.name", "How the bridge was called: grpc or drpc.")
RPC_METHOD = _core("rpc.method", "The method that was called, with its service.")
RPC_STATUS = _core("rpc.response.status_code", "The status that was answered.")

# --- Facts of the records that no convention names -----------------------------------------
INTERCEPTION_ID = _own("aibridge.interception.id", "The interception's id.")
INCOMPLETE = _own("aibridge.interception.incomplete", "True: no end came.")
ORPHAN = _own("aibridge.interception.orphan", "True: no start came.")
END_CONFLICT = _own("aibridge.end.conflict", "True: differing ends came; the earliest counts.")
CLAMPED = _own("aibridge.timestamp.clamped", "True: the end was before the start.")
SYNTHETIC = _own(
    "aibridge.timestamp.synthetic", "True: a time is its receipt, the gateway's was unusable."
)
PROVIDER_TYPE = _own("aibridge.provider.type", "The provider's type as sent, if it was mapped.")
GATEWAY_PROVIDER = _own("aibridge.provider.name", "The gateway's name for the provider.")
API_KEY_ID = _own("aibridge.api_key.id", "Id of the key that the request was made with.")
CLIENT = _own("aibridge.client", "The coding agent that made the request.")
CREDENTIAL_KIND = _own("aibridge.credential.kind", "Whose provider key was used.")
FIREWALL_SESSION = _own("aibridge.agent_firewall.session.id", "The agent firewall's session.")
FIREWALL_SEQUENCE = _own(
    "aibridge.agent_firewall.sequence_number", "The request's number in that session."
)
WORKSPACE_ID = _own("aibridge.workspace.id", "The workspace that the request came from.")
CORRELATING_CALL = _own(
    "aibridge.correlating_tool_call.id", "The last tool result that the request carries."
)
THREAD_ROOT = _own("aibridge.thread.root.id", "The first interception of the agent's thread.")
THREAD_PARENT = _own("aibridge.thread.parent.id", "The interception that asked for the tool.")
THREAD_UNRESOLVED = _own("aibridge.thread.unresolved", "True: that interception never came.")
RESPONSE_IDS = _own("aibridge.response.ids", "All response ids, each at its last record.")
METADATA = _own("aibridge.metadata", "The gateway's metadata, aibridge.metadata.<key>.")
METADATA_DROPPED = _own("aibridge.metadata.dropped", "Number of metadata keys left out.")
USAGE_EXTRA = _own("aibridge.usage.extra", "Other counts, aibridge.usage.extra.<key>.")
USAGE_INCONSISTENT = _own("aibridge.usage.inconsistent", "True: token counts break an invariant.")
AUDIO_INPUT = _own("aibridge.usage.audio.input_tokens", "Input tokens that are audio.")
AUDIO_OUTPUT = _own("aibridge.usage.audio.output_tokens", "Output tokens that are audio.")
CACHE_WRITE_5M = _own(
    "aibridge.usage.cache_write.ephemeral_5m.input_tokens", "Cache writes kept five minutes."
)
CACHE_WRITE_1H = _own(
    "aibridge.usage.cache_write.ephemeral_1h.input_tokens", "Cache writes kept an hour."
)
WEB_SEARCHES = _own("aibridge.usage.web_search.requests", "Web searches that the provider ran.")
COST_TOTAL = _own("aibridge.cost.total", "What the interception cost, in USD.")
COST_INPUT = _own("aibridge.cost.input", "Cost of uncached input, in USD.")
COST_OUTPUT = _own("aibridge.cost.output", "Cost of output, in USD.")
COST_CACHE_READ = _own("aibridge.cost.cache_read", "Cost of cache reads, in USD.")
COST_CACHE_WRITE = _own("aibridge.cost.cache_write", "Cost of cache writes, in USD.")
COST_WEB_SEARCH = _own("aibridge.cost.web_search", "Cost of web searches, in USD.")
PRICE_ID = _own("aibridge.cost.price.id", "Which price was matched.")
PRICE_VERSION = _own("aibridge.cost.price.version", "Version of the price table.")
COST_UNPRICED = _own("aibridge.cost.unpriced", "True: no price is known for some of the usage.")
PROMPT_LENGTH = _own("aibridge.prompt.length", "The prompt's length in Unicode code points.")
TOOL_INJECTED = _own("aibridge.tool.injected", "Whether the gateway itself ran the tool.")
TOOL_INFERRED = _own("aibridge.tool.inferred", "True: the span was inferred from a gap.")
TOOL_INPUT_LENGTH = _own(
    "aibridge.tool.input.length", "The arguments' length in Unicode code points."
)
TOOL_DURATION_KNOWN = _own(
    "aibridge.tool.duration_known", "False: the gateway reports only when the tool had run."
)
MCP_SERVER_URL = _own(
    "aibridge.mcp.server.url", "The MCP server, without user information, query and fragment."
)
THOUGHT_SOURCE = _own("aibridge.thought.source", "Where the thought came from.")
PROMPT_FINGERPRINT = _own(
    "aibridge.prompt.fingerprint",
    "The same for the same prompt, by the operator's key; on a span that of the last prompt.",
)
TOOL_INPUT_FINGERPRINT = _own(
    "aibridge.tool.input.fingerprint", "The same for the same arguments, by the operator's key."
)
CONTENT_TRUNCATED = _own(
    "aibridge.content.truncated", "How many of the prompts, arguments and thoughts here were cut."
)
CONTENT_SHA256 = _own(
    "aibridge.content.sha256", "SHA-256 of a text that was cut, as it was sent; hexadecimal."
)
CONTENT_REDACTED = _own(
    "aibridge.content.redacted",
    "How many secrets were taken out of the prompts, arguments and thoughts here.",
)
ATTRIBUTES_TRUNCATED = _own(
    "aibridge.attributes.truncated", "How many attribute values here were cut to their limits."
)
CONTENT_SHED = _own("aibridge.content.shed", "True: content was left out because space was short.")
OUTCOME = _own("aibridge.outcome", "How it went.")
COST_COMPONENT = _own("aibridge.cost.component", "What the money was spent on.")
BUDGET_PERIOD = _own("aibridge.budget.period", "When the budget begins anew: day, week or month.")

# --- The bridge itself ---------------------------------------------------------------------
CANARY = _own(
    "otelbridge.canary", "True: no request, but a try by `otelbridge doctor`; it is not counted."
)
RECORD_KIND = _own("otelbridge.record.kind", "start, prompt, tokens, thought, tool or end.")
GATEWAY = _own("otelbridge.gateway", "Which gateway reported.")
GATEWAY_API = _own("otelbridge.gateway.api_version", "The version of the API that it speaks.")
GATEWAY_BUILD = _own("otelbridge.gateway.build", "The gateway's build, as it says.")
DESTINATION = _own("otelbridge.destination", "The destination's name.")
SIGNAL = _own("otelbridge.signal", "traces, metrics or logs.")
REASON = _own("otelbridge.reason", "Why.")
RULE = _own("otelbridge.redaction.rule", "Which rule found a secret.")
INSTRUMENT = _own("otelbridge.instrument", "The instrument that has too many series.")
LABEL = _own("otelbridge.label", "The attribute key whose values are too many.")

#: Every attribute, by key.
ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType(_ATTRIBUTES)

#: What a label says that has no room for a value, and an error type for one without a name.
OTHER = "_OTHER"
#: What the labels of an empty model and of an unknown provider say.
UNKNOWN = "unknown"

CHAT = "chat"
EXECUTE_TOOL = "execute_tool"
TOOLS_CALL = "tools/call"
TOOL_TYPE_EXTENSION = "extension"
TOOL_TYPE_FUNCTION = "function"

EVENT_PROMPT = "aibridge.prompt"
EVENT_TOOL_USE = "aibridge.tool_use"
EVENT_THOUGHT = "aibridge.model_thought"
EVENT_LATE = "aibridge.late_record"


class Modality(StrEnum):
    """Values of `TOKEN_MODALITY`."""

    TEXT = "text"
    AUDIO = "audio"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """Values of `OUTCOME` for an interception."""

    COMPLETED = "completed"
    ERROR = "error"
    INCOMPLETE = "incomplete"
    ORPHAN = "orphan"


class Component(StrEnum):
    """Values of `COST_COMPONENT`."""

    INPUT = "input"
    OUTPUT = "output"
    CACHE_READ = "cache_read"
    CACHE_WRITE = "cache_write"
    WEB_SEARCH = "web_search"


class Part(StrEnum):
    """Parts of token usage that a metric may count; the first two are values of `TOKEN_TYPE`."""

    INPUT = "input"
    OUTPUT = "output"
    CACHE_READ = "cache_read"
    CACHE_WRITE = "cache_write"
    REASONING = "reasoning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The convention names of one edition, where editions differ.

    Attributes:
        name: Its name in the configuration.
        schema_url: Schema of the scope; empty where none is published.
        cache_write: Span attributes that tell the tokens written to a cache.
        counters: Metrics that add up a part of token usage.
        histograms: Metrics that sample a part of an interception's token usage.
        durations: Metrics that sample an interception's duration.
    """

    name: str
    schema_url: str
    cache_write: tuple[str, ...]
    counters: tuple[tuple[Part, str], ...]
    histograms: tuple[tuple[Part, str], ...]
    durations: tuple[str, ...]

    @property
    def metrics(self) -> frozenset[str]:
        """Return the names of all metrics that only some profiles have."""
        named = (*self.counters, *self.histograms)
        return frozenset((*self.durations, *(name for _, name in named)))


_USAGE = "gen_ai.client.inference.usage"

#: October 2026. The repository that keeps the conventions now publishes no schema.
LATEST = Profile(
    name="latest",
    schema_url="",
    cache_write=(CACHE_WRITE_TOKENS,),
    counters=(
        (Part.INPUT, f"{_USAGE}.input_tokens"),
        (Part.OUTPUT, f"{_USAGE}.output_tokens"),
        (Part.CACHE_READ, f"{_USAGE}.cache_read.input_tokens"),
        (Part.CACHE_WRITE, f"{_USAGE}.cache_write.input_tokens"),
        (Part.REASONING, f"{_USAGE}.reasoning.output_tokens"),
    ),
    histograms=(
        (Part.INPUT, "gen_ai.client.inference.operation.input_tokens"),
        (Part.OUTPUT, "gen_ai.client.inference.operation.output_tokens"),
    ),
    durations=("gen_ai.client.inference.duration",),
)

#: The last complete release of the core repository: what dashboards know.
V1_41 = Profile(
    name="v1_41",
    schema_url="https://opentelemetry.io/schemas/1.41.1",
    cache_write=(CACHE_CREATION_TOKENS,),
    counters=(),
    histograms=(
        (Part.INPUT, "gen_ai.client.token.usage"),
        (Part.OUTPUT, "gen_ai.client.token.usage"),
    ),
    durations=("gen_ai.client.operation.duration",),
)


def _both(name: str, first: Profile, second: Profile) -> Profile:
    """Return a profile that tells what either tells.

    The schema is the one that is published: all its names are told as it has
    them, and a schema says nothing of names that it does not know.
    """
    return Profile(
        name=name,
        schema_url=first.schema_url or second.schema_url,
        cache_write=(*first.cache_write, *second.cache_write),
        counters=(*first.counters, *second.counters),
        histograms=(*first.histograms, *second.histograms),
        durations=(*first.durations, *second.durations),
    )


#: Every profile, by its name in the configuration.
PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        LATEST.name: LATEST,
        V1_41.name: V1_41,
        "dup": _both("dup", LATEST, V1_41),
    }
)

#: The convention's name for a provider's type as gateways send it. A type that is
#: not here is told as it is, in lower case.
PROVIDERS: Mapping[str, str] = MappingProxyType(
    {
        "anthropic": "anthropic",
        "bedrock": "aws.bedrock",
        "openai": "openai",
        "azure": "azure.ai.openai",
        "azure-openai": "azure.ai.openai",
        "google": "gcp.gemini",
        "gemini": "gcp.gemini",
        "vertex": "gcp.vertex_ai",
        "copilot": "github.copilot",
        "mistral": "mistral_ai",
        "xai": "x_ai",
        "grok": "x_ai",
        "moonshot": "moonshot_ai",
        "kimi": "moonshot_ai",
        "watsonx": "ibm.watsonx.ai",
    }
)
#: A gateway calls Bedrock's Anthropic models ``anthropic`` too: the model's id tells.
#: An ARN of any partition, or ``anthropic.…``, with a geography before it or not.
BEDROCK = "aws.bedrock"
BEDROCK_MODEL = r"arn:aws[a-z-]*:bedrock|(?:[a-z]{2,8}(?:-[a-z]{2,8})*\.)?anthropic\."
