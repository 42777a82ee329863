import datetime

from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Envelope(_message.Message):
    __slots__ = ("sequence", "type", "error", "payload", "batch")
    class MessageType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[Envelope.MessageType]
        Request: _ClassVar[Envelope.MessageType]
        Response: _ClassVar[Envelope.MessageType]
        Event: _ClassVar[Envelope.MessageType]
    UNKNOWN: Envelope.MessageType
    Request: Envelope.MessageType
    Response: Envelope.MessageType
    Event: Envelope.MessageType
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    type: Envelope.MessageType
    error: str
    payload: _any_pb2.Any
    batch: _containers.RepeatedCompositeFieldContainer[Envelope]
    def __init__(self, sequence: _Optional[int] = ..., type: _Optional[_Union[Envelope.MessageType, str]] = ..., error: _Optional[str] = ..., payload: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., batch: _Optional[_Iterable[_Union[Envelope, _Mapping]]] = ...) -> None: ...

class File(_message.Message):
    __slots__ = ("ref", "media", "blob")
    REF_FIELD_NUMBER: _ClassVar[int]
    MEDIA_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    ref: str
    media: str
    blob: bytes
    def __init__(self, ref: _Optional[str] = ..., media: _Optional[str] = ..., blob: _Optional[bytes] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ()
    class Metadata(_message.Message):
        __slots__ = ("id", "requester", "provider", "reference", "trace", "attempt")
        ID_FIELD_NUMBER: _ClassVar[int]
        REQUESTER_FIELD_NUMBER: _ClassVar[int]
        PROVIDER_FIELD_NUMBER: _ClassVar[int]
        REFERENCE_FIELD_NUMBER: _ClassVar[int]
        TRACE_FIELD_NUMBER: _ClassVar[int]
        ATTEMPT_FIELD_NUMBER: _ClassVar[int]
        id: str
        requester: str
        provider: str
        reference: str
        trace: Task.Trace
        attempt: int
        def __init__(self, id: _Optional[str] = ..., requester: _Optional[str] = ..., provider: _Optional[str] = ..., reference: _Optional[str] = ..., trace: _Optional[_Union[Task.Trace, _Mapping]] = ..., attempt: _Optional[int] = ...) -> None: ...
    class QoS(_message.Message):
        __slots__ = ("priority", "deadline", "immediate", "follow", "by_reference", "interactive")
        PRIORITY_FIELD_NUMBER: _ClassVar[int]
        DEADLINE_FIELD_NUMBER: _ClassVar[int]
        IMMEDIATE_FIELD_NUMBER: _ClassVar[int]
        FOLLOW_FIELD_NUMBER: _ClassVar[int]
        BY_REFERENCE_FIELD_NUMBER: _ClassVar[int]
        INTERACTIVE_FIELD_NUMBER: _ClassVar[int]
        priority: bool
        deadline: _timestamp_pb2.Timestamp
        immediate: bool
        follow: bool
        by_reference: bool
        interactive: bool
        def __init__(self, priority: _Optional[bool] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., immediate: _Optional[bool] = ..., follow: _Optional[bool] = ..., by_reference: _Optional[bool] = ..., interactive: _Optional[bool] = ...) -> None: ...
    class Limits(_message.Message):
        __slots__ = ("wall_ms", "memory", "output", "files", "threads")
        WALL_MS_FIELD_NUMBER: _ClassVar[int]
        MEMORY_FIELD_NUMBER: _ClassVar[int]
        OUTPUT_FIELD_NUMBER: _ClassVar[int]
        FILES_FIELD_NUMBER: _ClassVar[int]
        THREADS_FIELD_NUMBER: _ClassVar[int]
        wall_ms: int
        memory: int
        output: int
        files: int
        threads: int
        def __init__(self, wall_ms: _Optional[int] = ..., memory: _Optional[int] = ..., output: _Optional[int] = ..., files: _Optional[int] = ..., threads: _Optional[int] = ...) -> None: ...
    class Usage(_message.Message):
        __slots__ = ("wall_us", "cpu_us", "memory", "bytes_in", "bytes_out", "compile_us", "cached", "engine")
        WALL_US_FIELD_NUMBER: _ClassVar[int]
        CPU_US_FIELD_NUMBER: _ClassVar[int]
        MEMORY_FIELD_NUMBER: _ClassVar[int]
        BYTES_IN_FIELD_NUMBER: _ClassVar[int]
        BYTES_OUT_FIELD_NUMBER: _ClassVar[int]
        COMPILE_US_FIELD_NUMBER: _ClassVar[int]
        CACHED_FIELD_NUMBER: _ClassVar[int]
        ENGINE_FIELD_NUMBER: _ClassVar[int]
        wall_us: int
        cpu_us: int
        memory: int
        bytes_in: int
        bytes_out: int
        compile_us: int
        cached: bool
        engine: str
        def __init__(self, wall_us: _Optional[int] = ..., cpu_us: _Optional[int] = ..., memory: _Optional[int] = ..., bytes_in: _Optional[int] = ..., bytes_out: _Optional[int] = ..., compile_us: _Optional[int] = ..., cached: _Optional[bool] = ..., engine: _Optional[str] = ...) -> None: ...
    class Trace(_message.Message):
        __slots__ = ("created", "duration", "events")
        CREATED_FIELD_NUMBER: _ClassVar[int]
        DURATION_FIELD_NUMBER: _ClassVar[int]
        EVENTS_FIELD_NUMBER: _ClassVar[int]
        created: int
        duration: int
        events: _containers.RepeatedCompositeFieldContainer[Task.TraceEvent]
        def __init__(self, created: _Optional[int] = ..., duration: _Optional[int] = ..., events: _Optional[_Iterable[_Union[Task.TraceEvent, _Mapping]]] = ...) -> None: ...
    class TraceEvent(_message.Message):
        __slots__ = ("unixnano", "event", "details")
        class EventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            UNKNOWN: _ClassVar[Task.TraceEvent.EventType]
            ClientError: _ClassVar[Task.TraceEvent.EventType]
            ClientTransmitRequest: _ClassVar[Task.TraceEvent.EventType]
            ClientReceivedResponse: _ClassVar[Task.TraceEvent.EventType]
            BrokerError: _ClassVar[Task.TraceEvent.EventType]
            BrokerReceivedClientRequest: _ClassVar[Task.TraceEvent.EventType]
            BrokerQueueTask: _ClassVar[Task.TraceEvent.EventType]
            BrokerScheduleTask: _ClassVar[Task.TraceEvent.EventType]
            BrokerTransmitProviderTask: _ClassVar[Task.TraceEvent.EventType]
            BrokerReceivedProviderResult: _ClassVar[Task.TraceEvent.EventType]
            BrokerTransmitClientResponse: _ClassVar[Task.TraceEvent.EventType]
            ProviderError: _ClassVar[Task.TraceEvent.EventType]
            ProviderTaskReceived: _ClassVar[Task.TraceEvent.EventType]
            ProviderGetWorker: _ClassVar[Task.TraceEvent.EventType]
            ProviderPostToWorker: _ClassVar[Task.TraceEvent.EventType]
            ProviderWorkerPrepare: _ClassVar[Task.TraceEvent.EventType]
            ProviderWorkerExecute: _ClassVar[Task.TraceEvent.EventType]
            ProviderWorkerDone: _ClassVar[Task.TraceEvent.EventType]
            ProviderTransmitResult: _ClassVar[Task.TraceEvent.EventType]
        UNKNOWN: Task.TraceEvent.EventType
        ClientError: Task.TraceEvent.EventType
        ClientTransmitRequest: Task.TraceEvent.EventType
        ClientReceivedResponse: Task.TraceEvent.EventType
        BrokerError: Task.TraceEvent.EventType
        BrokerReceivedClientRequest: Task.TraceEvent.EventType
        BrokerQueueTask: Task.TraceEvent.EventType
        BrokerScheduleTask: Task.TraceEvent.EventType
        BrokerTransmitProviderTask: Task.TraceEvent.EventType
        BrokerReceivedProviderResult: Task.TraceEvent.EventType
        BrokerTransmitClientResponse: Task.TraceEvent.EventType
        ProviderError: Task.TraceEvent.EventType
        ProviderTaskReceived: Task.TraceEvent.EventType
        ProviderGetWorker: Task.TraceEvent.EventType
        ProviderPostToWorker: Task.TraceEvent.EventType
        ProviderWorkerPrepare: Task.TraceEvent.EventType
        ProviderWorkerExecute: Task.TraceEvent.EventType
        ProviderWorkerDone: Task.TraceEvent.EventType
        ProviderTransmitResult: Task.TraceEvent.EventType
        UNIXNANO_FIELD_NUMBER: _ClassVar[int]
        EVENT_FIELD_NUMBER: _ClassVar[int]
        DETAILS_FIELD_NUMBER: _ClassVar[int]
        unixnano: int
        event: Task.TraceEvent.EventType
        details: str
        def __init__(self, unixnano: _Optional[int] = ..., event: _Optional[_Union[Task.TraceEvent.EventType, str]] = ..., details: _Optional[str] = ...) -> None: ...
    class Cancel(_message.Message):
        __slots__ = ("id", "reason")
        ID_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        id: str
        reason: str
        def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
    class Wasip1(_message.Message):
        __slots__ = ()
        class Params(_message.Message):
            __slots__ = ("binary", "args", "envs", "stdin", "rootfs", "artifacts", "roots", "limits", "stdin_file")
            BINARY_FIELD_NUMBER: _ClassVar[int]
            ARGS_FIELD_NUMBER: _ClassVar[int]
            ENVS_FIELD_NUMBER: _ClassVar[int]
            STDIN_FIELD_NUMBER: _ClassVar[int]
            ROOTFS_FIELD_NUMBER: _ClassVar[int]
            ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
            ROOTS_FIELD_NUMBER: _ClassVar[int]
            LIMITS_FIELD_NUMBER: _ClassVar[int]
            STDIN_FILE_FIELD_NUMBER: _ClassVar[int]
            binary: File
            args: _containers.RepeatedScalarFieldContainer[str]
            envs: _containers.RepeatedScalarFieldContainer[str]
            stdin: bytes
            rootfs: File
            artifacts: _containers.RepeatedScalarFieldContainer[str]
            roots: _containers.RepeatedCompositeFieldContainer[Task.Wasip1.Root]
            limits: Task.Limits
            stdin_file: File
            def __init__(self, binary: _Optional[_Union[File, _Mapping]] = ..., args: _Optional[_Iterable[str]] = ..., envs: _Optional[_Iterable[str]] = ..., stdin: _Optional[bytes] = ..., rootfs: _Optional[_Union[File, _Mapping]] = ..., artifacts: _Optional[_Iterable[str]] = ..., roots: _Optional[_Iterable[_Union[Task.Wasip1.Root, _Mapping]]] = ..., limits: _Optional[_Union[Task.Limits, _Mapping]] = ..., stdin_file: _Optional[_Union[File, _Mapping]] = ...) -> None: ...
        class Root(_message.Message):
            __slots__ = ("path", "file")
            PATH_FIELD_NUMBER: _ClassVar[int]
            FILE_FIELD_NUMBER: _ClassVar[int]
            path: str
            file: File
            def __init__(self, path: _Optional[str] = ..., file: _Optional[_Union[File, _Mapping]] = ...) -> None: ...
        class Output(_message.Message):
            __slots__ = ("status", "stdout", "stderr", "artifacts", "stdout_file", "stderr_file")
            STATUS_FIELD_NUMBER: _ClassVar[int]
            STDOUT_FIELD_NUMBER: _ClassVar[int]
            STDERR_FIELD_NUMBER: _ClassVar[int]
            ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
            STDOUT_FILE_FIELD_NUMBER: _ClassVar[int]
            STDERR_FILE_FIELD_NUMBER: _ClassVar[int]
            status: int
            stdout: bytes
            stderr: bytes
            artifacts: File
            stdout_file: File
            stderr_file: File
            def __init__(self, status: _Optional[int] = ..., stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ..., artifacts: _Optional[_Union[File, _Mapping]] = ..., stdout_file: _Optional[_Union[File, _Mapping]] = ..., stderr_file: _Optional[_Union[File, _Mapping]] = ...) -> None: ...
        class Request(_message.Message):
            __slots__ = ("info", "qos", "params")
            INFO_FIELD_NUMBER: _ClassVar[int]
            QOS_FIELD_NUMBER: _ClassVar[int]
            PARAMS_FIELD_NUMBER: _ClassVar[int]
            info: Task.Metadata
            qos: Task.QoS
            params: Task.Wasip1.Params
            def __init__(self, info: _Optional[_Union[Task.Metadata, _Mapping]] = ..., qos: _Optional[_Union[Task.QoS, _Mapping]] = ..., params: _Optional[_Union[Task.Wasip1.Params, _Mapping]] = ...) -> None: ...
        class Response(_message.Message):
            __slots__ = ("info", "error", "ok", "usage")
            INFO_FIELD_NUMBER: _ClassVar[int]
            ERROR_FIELD_NUMBER: _ClassVar[int]
            OK_FIELD_NUMBER: _ClassVar[int]
            USAGE_FIELD_NUMBER: _ClassVar[int]
            info: Task.Metadata
            error: str
            ok: Task.Wasip1.Output
            usage: Task.Usage
            def __init__(self, info: _Optional[_Union[Task.Metadata, _Mapping]] = ..., error: _Optional[str] = ..., ok: _Optional[_Union[Task.Wasip1.Output, _Mapping]] = ..., usage: _Optional[_Union[Task.Usage, _Mapping]] = ...) -> None: ...
        class JobRequest(_message.Message):
            __slots__ = ("info", "qos", "parent", "tasks")
            INFO_FIELD_NUMBER: _ClassVar[int]
            QOS_FIELD_NUMBER: _ClassVar[int]
            PARENT_FIELD_NUMBER: _ClassVar[int]
            TASKS_FIELD_NUMBER: _ClassVar[int]
            info: Task.Metadata
            qos: Task.QoS
            parent: Task.Wasip1.Params
            tasks: _containers.RepeatedCompositeFieldContainer[Task.Wasip1.Params]
            def __init__(self, info: _Optional[_Union[Task.Metadata, _Mapping]] = ..., qos: _Optional[_Union[Task.QoS, _Mapping]] = ..., parent: _Optional[_Union[Task.Wasip1.Params, _Mapping]] = ..., tasks: _Optional[_Iterable[_Union[Task.Wasip1.Params, _Mapping]]] = ...) -> None: ...
        class JobResponse(_message.Message):
            __slots__ = ("info", "error", "tasks")
            INFO_FIELD_NUMBER: _ClassVar[int]
            ERROR_FIELD_NUMBER: _ClassVar[int]
            TASKS_FIELD_NUMBER: _ClassVar[int]
            info: Task.Metadata
            error: str
            tasks: _containers.RepeatedCompositeFieldContainer[Task.Wasip1.Response]
            def __init__(self, info: _Optional[_Union[Task.Metadata, _Mapping]] = ..., error: _Optional[str] = ..., tasks: _Optional[_Iterable[_Union[Task.Wasip1.Response, _Mapping]]] = ...) -> None: ...
        def __init__(self) -> None: ...
    class Pyodide(_message.Message):
        __slots__ = ()
        class Params(_message.Message):
            __slots__ = ("packages", "script", "pickle", "envs", "stdin", "rootfs", "artifacts", "limits", "network", "pickle_file", "shared", "python")
            PACKAGES_FIELD_NUMBER: _ClassVar[int]
            SCRIPT_FIELD_NUMBER: _ClassVar[int]
            PICKLE_FIELD_NUMBER: _ClassVar[int]
            ENVS_FIELD_NUMBER: _ClassVar[int]
            STDIN_FIELD_NUMBER: _ClassVar[int]
            ROOTFS_FIELD_NUMBER: _ClassVar[int]
            ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
            LIMITS_FIELD_NUMBER: _ClassVar[int]
            NETWORK_FIELD_NUMBER: _ClassVar[int]
            PICKLE_FILE_FIELD_NUMBER: _ClassVar[int]
            SHARED_FIELD_NUMBER: _ClassVar[int]
            PYTHON_FIELD_NUMBER: _ClassVar[int]
            packages: _containers.RepeatedScalarFieldContainer[str]
            script: str
            pickle: bytes
            envs: _containers.RepeatedScalarFieldContainer[str]
            stdin: bytes
            rootfs: File
            artifacts: _containers.RepeatedScalarFieldContainer[str]
            limits: Task.Limits
            network: bool
            pickle_file: File
            shared: _containers.RepeatedCompositeFieldContainer[File]
            python: str
            def __init__(self, packages: _Optional[_Iterable[str]] = ..., script: _Optional[str] = ..., pickle: _Optional[bytes] = ..., envs: _Optional[_Iterable[str]] = ..., stdin: _Optional[bytes] = ..., rootfs: _Optional[_Union[File, _Mapping]] = ..., artifacts: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[Task.Limits, _Mapping]] = ..., network: _Optional[bool] = ..., pickle_file: _Optional[_Union[File, _Mapping]] = ..., shared: _Optional[_Iterable[_Union[File, _Mapping]]] = ..., python: _Optional[str] = ...) -> None: ...
        class Output(_message.Message):
            __slots__ = ("pickle", "stdout", "stderr", "version", "artifacts")
            PICKLE_FIELD_NUMBER: _ClassVar[int]
            STDOUT_FIELD_NUMBER: _ClassVar[int]
            STDERR_FIELD_NUMBER: _ClassVar[int]
            VERSION_FIELD_NUMBER: _ClassVar[int]
            ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
            pickle: bytes
            stdout: bytes
            stderr: bytes
            version: str
            artifacts: File
            def __init__(self, pickle: _Optional[bytes] = ..., stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ..., version: _Optional[str] = ..., artifacts: _Optional[_Union[File, _Mapping]] = ...) -> None: ...
        class Request(_message.Message):
            __slots__ = ("info", "qos", "params")
            INFO_FIELD_NUMBER: _ClassVar[int]
            QOS_FIELD_NUMBER: _ClassVar[int]
            PARAMS_FIELD_NUMBER: _ClassVar[int]
            info: Task.Metadata
            qos: Task.QoS
            params: Task.Pyodide.Params
            def __init__(self, info: _Optional[_Union[Task.Metadata, _Mapping]] = ..., qos: _Optional[_Union[Task.QoS, _Mapping]] = ..., params: _Optional[_Union[Task.Pyodide.Params, _Mapping]] = ...) -> None: ...
        class Response(_message.Message):
            __slots__ = ("info", "error", "ok", "usage", "exception")
            INFO_FIELD_NUMBER: _ClassVar[int]
            ERROR_FIELD_NUMBER: _ClassVar[int]
            OK_FIELD_NUMBER: _ClassVar[int]
            USAGE_FIELD_NUMBER: _ClassVar[int]
            EXCEPTION_FIELD_NUMBER: _ClassVar[int]
            info: Task.Metadata
            error: str
            ok: Task.Pyodide.Output
            usage: Task.Usage
            exception: bytes
            def __init__(self, info: _Optional[_Union[Task.Metadata, _Mapping]] = ..., error: _Optional[str] = ..., ok: _Optional[_Union[Task.Pyodide.Output, _Mapping]] = ..., usage: _Optional[_Union[Task.Usage, _Mapping]] = ..., exception: _Optional[bytes] = ...) -> None: ...
        def __init__(self) -> None: ...
    def __init__(self) -> None: ...

class Filesystem(_message.Message):
    __slots__ = ()
    class Listing(_message.Message):
        __slots__ = ()
        class Request(_message.Message):
            __slots__ = ()
            def __init__(self) -> None: ...
        class Response(_message.Message):
            __slots__ = ("files",)
            FILES_FIELD_NUMBER: _ClassVar[int]
            files: _containers.RepeatedScalarFieldContainer[str]
            def __init__(self, files: _Optional[_Iterable[str]] = ...) -> None: ...
        def __init__(self) -> None: ...
    class Probe(_message.Message):
        __slots__ = ()
        class Request(_message.Message):
            __slots__ = ("file",)
            FILE_FIELD_NUMBER: _ClassVar[int]
            file: str
            def __init__(self, file: _Optional[str] = ...) -> None: ...
        class Response(_message.Message):
            __slots__ = ("ok",)
            OK_FIELD_NUMBER: _ClassVar[int]
            ok: bool
            def __init__(self, ok: _Optional[bool] = ...) -> None: ...
        def __init__(self) -> None: ...
    class Upload(_message.Message):
        __slots__ = ()
        class Request(_message.Message):
            __slots__ = ("upload",)
            UPLOAD_FIELD_NUMBER: _ClassVar[int]
            upload: File
            def __init__(self, upload: _Optional[_Union[File, _Mapping]] = ...) -> None: ...
        class Response(_message.Message):
            __slots__ = ("ref",)
            REF_FIELD_NUMBER: _ClassVar[int]
            ref: str
            def __init__(self, ref: _Optional[str] = ...) -> None: ...
        def __init__(self) -> None: ...
    class Download(_message.Message):
        __slots__ = ()
        class Request(_message.Message):
            __slots__ = ("file",)
            FILE_FIELD_NUMBER: _ClassVar[int]
            file: str
            def __init__(self, file: _Optional[str] = ...) -> None: ...
        class Response(_message.Message):
            __slots__ = ("download", "err")
            DOWNLOAD_FIELD_NUMBER: _ClassVar[int]
            ERR_FIELD_NUMBER: _ClassVar[int]
            download: File
            err: str
            def __init__(self, download: _Optional[_Union[File, _Mapping]] = ..., err: _Optional[str] = ...) -> None: ...
        def __init__(self) -> None: ...
    def __init__(self) -> None: ...

class Event(_message.Message):
    __slots__ = ()
    class GenericMessage(_message.Message):
        __slots__ = ("message",)
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        message: str
        def __init__(self, message: _Optional[str] = ...) -> None: ...
    class ProviderResources(_message.Message):
        __slots__ = ("concurrency", "tasks", "extension", "engine", "runs")
        CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
        TASKS_FIELD_NUMBER: _ClassVar[int]
        EXTENSION_FIELD_NUMBER: _ClassVar[int]
        ENGINE_FIELD_NUMBER: _ClassVar[int]
        RUNS_FIELD_NUMBER: _ClassVar[int]
        concurrency: int
        tasks: int
        extension: int
        engine: str
        runs: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, concurrency: _Optional[int] = ..., tasks: _Optional[int] = ..., extension: _Optional[int] = ..., engine: _Optional[str] = ..., runs: _Optional[_Iterable[str]] = ...) -> None: ...
    class ClusterInfo(_message.Message):
        __slots__ = ("providers",)
        PROVIDERS_FIELD_NUMBER: _ClassVar[int]
        providers: int
        def __init__(self, providers: _Optional[int] = ...) -> None: ...
    class Throughput(_message.Message):
        __slots__ = ("overall", "yours")
        OVERALL_FIELD_NUMBER: _ClassVar[int]
        YOURS_FIELD_NUMBER: _ClassVar[int]
        overall: float
        yours: float
        def __init__(self, overall: _Optional[float] = ..., yours: _Optional[float] = ...) -> None: ...
    class FileSystemUpdate(_message.Message):
        __slots__ = ("added", "removed")
        ADDED_FIELD_NUMBER: _ClassVar[int]
        REMOVED_FIELD_NUMBER: _ClassVar[int]
        added: _containers.RepeatedScalarFieldContainer[str]
        removed: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, added: _Optional[_Iterable[str]] = ..., removed: _Optional[_Iterable[str]] = ...) -> None: ...
    class TaskOutput(_message.Message):
        __slots__ = ("request", "stdout", "stderr")
        REQUEST_FIELD_NUMBER: _ClassVar[int]
        STDOUT_FIELD_NUMBER: _ClassVar[int]
        STDERR_FIELD_NUMBER: _ClassVar[int]
        request: int
        stdout: bytes
        stderr: bytes
        def __init__(self, request: _Optional[int] = ..., stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ...) -> None: ...
    class TaskInput(_message.Message):
        __slots__ = ("request", "stdin", "end")
        REQUEST_FIELD_NUMBER: _ClassVar[int]
        STDIN_FIELD_NUMBER: _ClassVar[int]
        END_FIELD_NUMBER: _ClassVar[int]
        request: int
        stdin: bytes
        end: bool
        def __init__(self, request: _Optional[int] = ..., stdin: _Optional[bytes] = ..., end: _Optional[bool] = ...) -> None: ...
    class TaskInputTaken(_message.Message):
        __slots__ = ("request", "taken")
        REQUEST_FIELD_NUMBER: _ClassVar[int]
        TAKEN_FIELD_NUMBER: _ClassVar[int]
        request: int
        taken: int
        def __init__(self, request: _Optional[int] = ..., taken: _Optional[int] = ...) -> None: ...
    def __init__(self) -> None: ...

class Ping(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
