"""The public schema (WIRE.md §1) as a table, held against the generated classes; and what is ours stands apart from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor

from pyodide_provider.wire import codec
from pyodide_provider.wire import messages_pb2 as pb

FILE = pb.DESCRIPTOR
ROOT = Path(__file__).resolve().parent.parent.parent

INFO_QOS = "info 1 Task.Metadata · qos 2 Task.QoS"
PARAMS_TAIL = "envs {0} string[] · stdin {1} bytes · rootfs {2} File · artifacts {3} string[]"
TABLE: dict[str, str] = {
    "Envelope": "sequence 1 uint64 · type 2 Envelope.MessageType · error 3 string · payload 4 google.protobuf.Any",
    "File": "ref 1 string · media 2 string · blob 3 bytes",
    "Task": "",
    "Task.Metadata": "id 1 string · requester 2 string · provider 3 string · reference 4 string · trace 5 Task.Trace",
    "Task.QoS": "priority 1 bool · deadline 2 google.protobuf.Timestamp · immediate 3 bool",
    "Task.Trace": "created 1 int64 · duration 2 uint64 · events 3 Task.TraceEvent[]",
    "Task.TraceEvent": "unixnano 1 int64 · event 2 Task.TraceEvent.EventType · details 3 string",
    "Task.Cancel": "id 1 string · reason 2 string",
    "Task.Wasip1": "",
    "Task.Wasip1.Params": "binary 1 File · args 2 string[] · " + PARAMS_TAIL.format(3, 4, 5, 6),
    "Task.Wasip1.Output": "status 1 int32 · stdout 2 bytes · stderr 3 bytes · artifacts 4 File",
    "Task.Wasip1.Request": f"{INFO_QOS} · params 3 Task.Wasip1.Params",
    "Task.Wasip1.Response": "info 1 Task.Metadata · result/error 2 string · result/ok 3 Task.Wasip1.Output",
    "Task.Wasip1.JobRequest": f"{INFO_QOS} · parent 3 Task.Wasip1.Params · tasks 4 Task.Wasip1.Params[]",
    "Task.Wasip1.JobResponse": "info 1 Task.Metadata · error 2 string · tasks 3 Task.Wasip1.Response[]",
    "Task.Pyodide": "",
    "Task.Pyodide.Params": "packages 1 string[] · run/script 2 string · run/pickle 3 bytes · " + PARAMS_TAIL.format(4, 5, 6, 7),
    "Task.Pyodide.Output": "pickle 1 bytes · stdout 2 bytes · stderr 3 bytes · version 4 string · artifacts 5 File",
    "Task.Pyodide.Request": f"{INFO_QOS} · params 3 Task.Pyodide.Params",
    "Task.Pyodide.Response": "info 1 Task.Metadata · result/error 2 string · result/ok 3 Task.Pyodide.Output",
    "Filesystem": "",
    "Filesystem.Listing": "",
    "Filesystem.Listing.Request": "",
    "Filesystem.Listing.Response": "files 1 string[]",
    "Filesystem.Probe": "",
    "Filesystem.Probe.Request": "file 1 string",
    "Filesystem.Probe.Response": "ok 1 bool",
    "Filesystem.Upload": "",
    "Filesystem.Upload.Request": "upload 1 File",
    "Filesystem.Upload.Response": "ref 1 string",
    "Filesystem.Download": "",
    "Filesystem.Download.Request": "file 1 string",
    "Filesystem.Download.Response": "download 1 File · err 2 string",
    "Event": "",
    "Event.GenericMessage": "message 1 string",
    "Event.ProviderResources": "concurrency 1 uint32 · tasks 2 uint32",
    "Event.ClusterInfo": "providers 1 uint32",
    "Event.Throughput": "overall 1 float · yours 2 float",
    "Event.FileSystemUpdate": "added 1 string[] · removed 2 string[]",
    "Ping": "",
}
OWN: dict[str, str] = {
    "Envelope": "batch 100 Envelope[]",
    "Task.Metadata": "attempt 100 uint32",
    "Task.QoS": "follow 100 bool · by_reference 101 bool · interactive 102 bool",
    "Task.Wasip1.Params": "roots 100 Task.Wasip1.Root[] · limits 101 Task.Limits · stdin_file 102 File",
    "Task.Wasip1.Output": "stdout_file 100 File · stderr_file 101 File",
    "Task.Wasip1.Response": "usage 100 Task.Usage",
    "Task.Pyodide.Params": (
        "limits 101 Task.Limits · network 103 bool · pickle_file 104 File · shared 105 File[] · python 106 string"
    ),
    "Task.Pyodide.Response": "usage 100 Task.Usage · exception 101 bytes",
    "Event.ProviderResources": "extension 100 uint32 · engine 101 string · runs 102 string[]",
}

OWN_MESSAGES = {"Task.Limits", "Task.Usage", "Task.Wasip1.Root", "Event.TaskOutput", "Event.TaskInput", "Event.TaskInputTaken"}
ENUMS: dict[str, dict[str, int]] = {
    "Envelope.MessageType": {"UNKNOWN": 0, "Request": 1, "Response": 2, "Event": 3},
    "Task.TraceEvent.EventType": {
        "UNKNOWN": 0,
        "ClientError": 10,
        "ClientTransmitRequest": 11,
        "ClientReceivedResponse": 12,
        "BrokerError": 20,
        "BrokerReceivedClientRequest": 21,
        "BrokerQueueTask": 22,
        "BrokerScheduleTask": 23,
        "BrokerTransmitProviderTask": 24,
        "BrokerReceivedProviderResult": 25,
        "BrokerTransmitClientResponse": 26,
        "ProviderError": 30,
        "ProviderTaskReceived": 31,
        "ProviderGetWorker": 32,
        "ProviderPostToWorker": 33,
        "ProviderWorkerPrepare": 34,
        "ProviderWorkerExecute": 35,
        "ProviderWorkerDone": 36,
        "ProviderTransmitResult": 37,
    },
}
METHODS = {
    "RunWasip1": ("Task.Wasip1.Request", "Task.Wasip1.Response"),
    "RunPyodide": ("Task.Pyodide.Request", "Task.Pyodide.Response"),
    "RunWasip1Job": ("Task.Wasip1.JobRequest", "Task.Wasip1.JobResponse"),
    "Upload": ("Filesystem.Upload.Request", "Filesystem.Upload.Response"),
}
SCALARS = {
    getattr(FieldDescriptor, f"TYPE_{name.upper()}"): name
    for name in ("bool", "bytes", "float", "int32", "int64", "string", "uint32", "uint64")
}


def short(full_name: str) -> str:
    return full_name.removeprefix("wasimoff.v1.")


def messages(among: list[Descriptor]) -> dict[str, Descriptor]:
    found: dict[str, Descriptor] = {}
    for descriptor in among:
        found[short(descriptor.full_name)] = descriptor
        found |= messages(list(descriptor.nested_types))
    return found


MESSAGES = messages(list(FILE.message_types_by_name.values()))


def described(field: FieldDescriptor) -> str:
    kind = SCALARS.get(field.type) or short((field.message_type or field.enum_type).full_name)
    name = f"{field.containing_oneof.name}/{field.name}" if field.containing_oneof else field.name
    return f"{name} {field.number} {kind}{'[]' if field.is_repeated else ''}"


def row(descriptor: Descriptor, *, own: bool) -> str:
    fields = sorted(descriptor.fields, key=lambda f: f.number)
    return " · ".join(described(f) for f in fields if (f.number >= 100) == own)


@pytest.mark.parametrize("name", TABLE)
def test_a_message_has_the_public_fields_and_no_others_below_100(name: str):
    assert row(MESSAGES[name], own=False) == TABLE[name]


def test_there_are_no_other_messages_and_what_is_ours_is_known():
    assert set(MESSAGES) == set(TABLE) | OWN_MESSAGES
    assert {name: row(d, own=True) for name, d in MESSAGES.items() if row(d, own=True)} == OWN


def enums(among: dict[str, Descriptor]) -> dict[str, EnumDescriptor]:
    return {short(enum.full_name): enum for d in among.values() for enum in d.enum_types}


def test_enums_have_the_public_names_and_numbers():
    assert {name: {v.name: v.number for v in enum.values} for name, enum in enums(MESSAGES).items()} == ENUMS


def test_the_service_has_the_public_methods():
    methods: dict[str, MethodDescriptor] = FILE.services_by_name["Tasks"].methods_by_name
    assert {n: (short(m.input_type.full_name), short(m.output_type.full_name)) for n, m in methods.items()} == METHODS


@pytest.mark.parametrize("name", [name for name in TABLE if TABLE[name]])
def test_presence_is_explicit_so_zeros_that_are_set_are_written(name: str):
    for field in MESSAGES[name].fields:
        assert field.is_repeated or field.has_presence, field.name


def test_everything_that_may_ride_in_an_envelope_is_known_to_the_codec():
    inside = {m.containing_type.full_name for m in MESSAGES.values() if m.containing_type}
    parts = {"File", "Envelope", "Task.Metadata", "Task.QoS", "Task.Trace", "Task.TraceEvent"}
    parts |= {"Task.Limits", "Task.Usage", "Task.Wasip1.Root"}
    parts |= {f"Task.{kind}.{part}" for kind in ("Wasip1", "Pyodide") for part in ("Params", "Output")}
    whole = {d.full_name for name, d in MESSAGES.items() if d.full_name not in inside and name not in parts}
    assert set(codec.PAYLOADS) == whole


def test_the_generated_classes_are_those_of_the_schema():
    command = [sys.executable, str(ROOT / "scripts" / "proto.py"), "--check"]
    subprocess.run(command, check=True, timeout=60)
