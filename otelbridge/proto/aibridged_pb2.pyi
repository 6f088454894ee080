from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RecordInterceptionRequest(_message.Message):
    __slots__ = ("id", "initiator_id", "provider", "model", "metadata", "started_at", "api_key_id", "client", "user_agent", "correlating_tool_call_id", "client_session_id", "provider_name", "credential_kind", "credential_hint", "agent_firewall_session_id", "agent_firewall_sequence_number", "workspace_id")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _any_pb2.Any
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    INITIATOR_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    CORRELATING_TOOL_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_NAME_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_KIND_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_HINT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIREWALL_SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIREWALL_SEQUENCE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    initiator_id: str
    provider: str
    model: str
    metadata: _containers.MessageMap[str, _any_pb2.Any]
    started_at: _timestamp_pb2.Timestamp
    api_key_id: str
    client: str
    user_agent: str
    correlating_tool_call_id: str
    client_session_id: str
    provider_name: str
    credential_kind: str
    credential_hint: str
    agent_firewall_session_id: str
    agent_firewall_sequence_number: int
    workspace_id: str
    def __init__(self, id: _Optional[str] = ..., initiator_id: _Optional[str] = ..., provider: _Optional[str] = ..., model: _Optional[str] = ..., metadata: _Optional[_Mapping[str, _any_pb2.Any]] = ..., started_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., api_key_id: _Optional[str] = ..., client: _Optional[str] = ..., user_agent: _Optional[str] = ..., correlating_tool_call_id: _Optional[str] = ..., client_session_id: _Optional[str] = ..., provider_name: _Optional[str] = ..., credential_kind: _Optional[str] = ..., credential_hint: _Optional[str] = ..., agent_firewall_session_id: _Optional[str] = ..., agent_firewall_sequence_number: _Optional[int] = ..., workspace_id: _Optional[str] = ...) -> None: ...

class RecordInterceptionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RecordInterceptionEndedRequest(_message.Message):
    __slots__ = ("id", "ended_at", "credential_hint", "error_type", "error_message")
    ID_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_HINT_FIELD_NUMBER: _ClassVar[int]
    ERROR_TYPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    id: str
    ended_at: _timestamp_pb2.Timestamp
    credential_hint: str
    error_type: str
    error_message: str
    def __init__(self, id: _Optional[str] = ..., ended_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., credential_hint: _Optional[str] = ..., error_type: _Optional[str] = ..., error_message: _Optional[str] = ...) -> None: ...

class RecordInterceptionEndedResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RecordTokenUsageRequest(_message.Message):
    __slots__ = ("interception_id", "msg_id", "input_tokens", "output_tokens", "metadata", "created_at", "cache_read_input_tokens", "cache_write_input_tokens")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _any_pb2.Any
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...
    INTERCEPTION_ID_FIELD_NUMBER: _ClassVar[int]
    MSG_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CACHE_READ_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    interception_id: str
    msg_id: str
    input_tokens: int
    output_tokens: int
    metadata: _containers.MessageMap[str, _any_pb2.Any]
    created_at: _timestamp_pb2.Timestamp
    cache_read_input_tokens: int
    cache_write_input_tokens: int
    def __init__(self, interception_id: _Optional[str] = ..., msg_id: _Optional[str] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., metadata: _Optional[_Mapping[str, _any_pb2.Any]] = ..., created_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., cache_read_input_tokens: _Optional[int] = ..., cache_write_input_tokens: _Optional[int] = ...) -> None: ...

class RecordTokenUsageResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RecordPromptUsageRequest(_message.Message):
    __slots__ = ("interception_id", "msg_id", "prompt", "metadata", "created_at")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _any_pb2.Any
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...
    INTERCEPTION_ID_FIELD_NUMBER: _ClassVar[int]
    MSG_ID_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    interception_id: str
    msg_id: str
    prompt: str
    metadata: _containers.MessageMap[str, _any_pb2.Any]
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, interception_id: _Optional[str] = ..., msg_id: _Optional[str] = ..., prompt: _Optional[str] = ..., metadata: _Optional[_Mapping[str, _any_pb2.Any]] = ..., created_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RecordPromptUsageResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RecordToolUsageRequest(_message.Message):
    __slots__ = ("interception_id", "msg_id", "server_url", "tool", "input", "injected", "invocation_error", "metadata", "created_at", "tool_call_id", "item_id")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _any_pb2.Any
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...
    INTERCEPTION_ID_FIELD_NUMBER: _ClassVar[int]
    MSG_ID_FIELD_NUMBER: _ClassVar[int]
    SERVER_URL_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    INJECTED_FIELD_NUMBER: _ClassVar[int]
    INVOCATION_ERROR_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    interception_id: str
    msg_id: str
    server_url: str
    tool: str
    input: str
    injected: bool
    invocation_error: str
    metadata: _containers.MessageMap[str, _any_pb2.Any]
    created_at: _timestamp_pb2.Timestamp
    tool_call_id: str
    item_id: str
    def __init__(self, interception_id: _Optional[str] = ..., msg_id: _Optional[str] = ..., server_url: _Optional[str] = ..., tool: _Optional[str] = ..., input: _Optional[str] = ..., injected: bool = ..., invocation_error: _Optional[str] = ..., metadata: _Optional[_Mapping[str, _any_pb2.Any]] = ..., created_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., tool_call_id: _Optional[str] = ..., item_id: _Optional[str] = ...) -> None: ...

class RecordToolUsageResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RecordModelThoughtRequest(_message.Message):
    __slots__ = ("interception_id", "content", "metadata", "created_at")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _any_pb2.Any
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_any_pb2.Any, _Mapping]] = ...) -> None: ...
    INTERCEPTION_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    interception_id: str
    content: str
    metadata: _containers.MessageMap[str, _any_pb2.Any]
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, interception_id: _Optional[str] = ..., content: _Optional[str] = ..., metadata: _Optional[_Mapping[str, _any_pb2.Any]] = ..., created_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RecordModelThoughtResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetMCPServerConfigsRequest(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    def __init__(self, user_id: _Optional[str] = ...) -> None: ...

class GetMCPServerConfigsResponse(_message.Message):
    __slots__ = ("coder_mcp_config", "external_auth_mcp_configs")
    CODER_MCP_CONFIG_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_AUTH_MCP_CONFIGS_FIELD_NUMBER: _ClassVar[int]
    coder_mcp_config: MCPServerConfig
    external_auth_mcp_configs: _containers.RepeatedCompositeFieldContainer[MCPServerConfig]
    def __init__(self, coder_mcp_config: _Optional[_Union[MCPServerConfig, _Mapping]] = ..., external_auth_mcp_configs: _Optional[_Iterable[_Union[MCPServerConfig, _Mapping]]] = ...) -> None: ...

class MCPServerConfig(_message.Message):
    __slots__ = ("id", "url", "tool_allow_regex", "tool_deny_regex")
    ID_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    TOOL_ALLOW_REGEX_FIELD_NUMBER: _ClassVar[int]
    TOOL_DENY_REGEX_FIELD_NUMBER: _ClassVar[int]
    id: str
    url: str
    tool_allow_regex: str
    tool_deny_regex: str
    def __init__(self, id: _Optional[str] = ..., url: _Optional[str] = ..., tool_allow_regex: _Optional[str] = ..., tool_deny_regex: _Optional[str] = ...) -> None: ...

class GetMCPServerAccessTokensBatchRequest(_message.Message):
    __slots__ = ("user_id", "mcp_server_config_ids")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MCP_SERVER_CONFIG_IDS_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    mcp_server_config_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_id: _Optional[str] = ..., mcp_server_config_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetMCPServerAccessTokensBatchResponse(_message.Message):
    __slots__ = ("access_tokens", "errors")
    class AccessTokensEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ACCESS_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    access_tokens: _containers.ScalarMap[str, str]
    errors: _containers.ScalarMap[str, str]
    def __init__(self, access_tokens: _Optional[_Mapping[str, str]] = ..., errors: _Optional[_Mapping[str, str]] = ...) -> None: ...

class IsAuthorizedRequest(_message.Message):
    __slots__ = ("key", "key_id")
    KEY_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    key: str
    key_id: str
    def __init__(self, key: _Optional[str] = ..., key_id: _Optional[str] = ...) -> None: ...

class IsAuthorizedResponse(_message.Message):
    __slots__ = ("owner_id", "api_key_id", "username", "workspace_id")
    OWNER_ID_FIELD_NUMBER: _ClassVar[int]
    API_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_ID_FIELD_NUMBER: _ClassVar[int]
    owner_id: str
    api_key_id: str
    username: str
    workspace_id: str
    def __init__(self, owner_id: _Optional[str] = ..., api_key_id: _Optional[str] = ..., username: _Optional[str] = ..., workspace_id: _Optional[str] = ...) -> None: ...

class IsBudgetExceededRequest(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    def __init__(self, user_id: _Optional[str] = ...) -> None: ...

class IsBudgetExceededResponse(_message.Message):
    __slots__ = ("exceeded", "spend_limit_micros")
    EXCEEDED_FIELD_NUMBER: _ClassVar[int]
    SPEND_LIMIT_MICROS_FIELD_NUMBER: _ClassVar[int]
    exceeded: bool
    spend_limit_micros: int
    def __init__(self, exceeded: bool = ..., spend_limit_micros: _Optional[int] = ...) -> None: ...

class GetAIProvidersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetAIProvidersResponse(_message.Message):
    __slots__ = ("providers",)
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[AIProvider]
    def __init__(self, providers: _Optional[_Iterable[_Union[AIProvider, _Mapping]]] = ...) -> None: ...

class WatchAIProvidersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchAIProvidersResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AIProvider(_message.Message):
    __slots__ = ("name", "type", "enabled", "base_url", "keys", "bedrock")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    BEDROCK_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    enabled: bool
    base_url: str
    keys: _containers.RepeatedScalarFieldContainer[str]
    bedrock: AIProviderKindBedrock
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., enabled: bool = ..., base_url: _Optional[str] = ..., keys: _Optional[_Iterable[str]] = ..., bedrock: _Optional[_Union[AIProviderKindBedrock, _Mapping]] = ...) -> None: ...

class AIProviderKindBedrock(_message.Message):
    __slots__ = ("region", "access_key", "access_key_secret", "model", "small_fast_model", "role_arn", "external_id", "protocol", "resolved_model", "resolved_small_fast_model")
    REGION_FIELD_NUMBER: _ClassVar[int]
    ACCESS_KEY_FIELD_NUMBER: _ClassVar[int]
    ACCESS_KEY_SECRET_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SMALL_FAST_MODEL_FIELD_NUMBER: _ClassVar[int]
    ROLE_ARN_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_ID_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_MODEL_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_SMALL_FAST_MODEL_FIELD_NUMBER: _ClassVar[int]
    region: str
    access_key: str
    access_key_secret: str
    model: str
    small_fast_model: str
    role_arn: str
    external_id: str
    protocol: str
    resolved_model: str
    resolved_small_fast_model: str
    def __init__(self, region: _Optional[str] = ..., access_key: _Optional[str] = ..., access_key_secret: _Optional[str] = ..., model: _Optional[str] = ..., small_fast_model: _Optional[str] = ..., role_arn: _Optional[str] = ..., external_id: _Optional[str] = ..., protocol: _Optional[str] = ..., resolved_model: _Optional[str] = ..., resolved_small_fast_model: _Optional[str] = ...) -> None: ...
