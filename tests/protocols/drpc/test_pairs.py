"""A client and a server joined in memory: each is told what the other said, in order."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from otelbridge.protocols.drpc import (
    CallCancelled,
    CallEnded,
    CallFailed,
    CancelReason,
    ClientEvent,
    ClientTransport,
    InputEnded,
    Invoked,
    MessageReceived,
    ServerEvent,
    ServerTransport,
    TransportEnded,
)

messages = st.binary(max_size=5) | st.builds(bytes, st.sampled_from([127, 128, 65536, 65537]))
pairs = st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2)
pieces = st.integers(1, 40) | st.just(1 << 20)
ENDS = (CallEnded, CallFailed, CallCancelled)


class Pair(RuleBasedStateMachine):
    """Calls of one client, and whatever a server answers, over two slow pipes.

    ``said`` is what each end must be told of a call, if it is told all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.connect()

    def connect(self) -> None:
        """Begin with a new pair."""
        self.client, self.server = ClientTransport(), ServerTransport()
        self.to_server, self.to_client = bytearray(), bytearray()
        self.said_to_server: defaultdict[int, list[ServerEvent]] = defaultdict(list)
        self.said_to_client: defaultdict[int, list[ClientEvent]] = defaultdict(list)
        self.told_server: defaultdict[int, list[ServerEvent]] = defaultdict(list)
        self.told_client: defaultdict[int, list[ClientEvent]] = defaultdict(list)
        self.newest = 0
        self.is_sending = self.is_receiving = False
        # The calls that the server may answer, and those that the client gave up.
        self.served: set[int] = set()
        self.given_up: set[int] = set()

    @rule(rpc=st.text(max_size=5), metadata=pairs)
    def invoke(self, rpc: str, metadata: dict[str, str]) -> None:
        """Begin a call, if none is open."""
        if self.is_sending or self.is_receiving:
            with pytest.raises(ValueError, match="is open"):
                self.client.invoke(rpc)
            return
        self.newest = self.client.invoke(rpc, metadata=metadata)
        self.is_sending = self.is_receiving = True
        self.said_to_server[self.newest].append(Invoked(self.newest, rpc, metadata))

    @rule(data=messages)
    def send(self, data: bytes) -> None:
        """Send a message in the newest call."""
        self.client.send_message(self.newest, data)
        if self.is_sending:
            self.said_to_server[self.newest].append(MessageReceived(self.newest, data))

    @rule()
    def end_input(self) -> None:
        """Send CloseSend in the newest call."""
        self.client.send_close(self.newest)
        if self.is_sending:
            self.said_to_server[self.newest].append(InputEnded(self.newest))
        self.is_sending = False

    @rule(reason=st.sampled_from([CancelReason.CANCEL, CancelReason.CLOSE]))
    def give_up(self, reason: CancelReason) -> None:
        """Cancel or close the newest call."""
        end = self.client.cancel if reason == CancelReason.CANCEL else self.client.close
        end(self.newest)
        if self.is_sending or self.is_receiving:
            self.said_to_server[self.newest].append(CallCancelled(self.newest, reason))
            self.given_up.add(self.newest)
        self.is_sending = self.is_receiving = False

    @rule(data=messages, back=st.integers(0, 2))
    def answer(self, data: bytes, back: int) -> None:
        """Send a message in some call, open or not."""
        call_id = self.newest - back
        self.server.send_message(call_id, data)
        if call_id in self.served:
            self.said_to_client[call_id].append(MessageReceived(call_id, data))

    @rule(back=st.integers(0, 2))
    def end_answer(self, back: int) -> None:
        """Send CloseSend in some call, open or not."""
        call_id = self.newest - back
        self.server.send_close(call_id)
        if call_id in self.served:
            self.said_to_client[call_id].append(CallEnded(call_id))
        self.served.discard(call_id)

    @rule(code=st.integers(0, 2**64 - 1), text=st.text(max_size=5), back=st.integers(0, 2))
    def fail(self, code: int, text: str, back: int) -> None:
        """Answer some call with an error, open or not."""
        call_id = self.newest - back
        self.server.send_error(call_id, code, text)
        if call_id in self.served:
            self.said_to_client[call_id].append(CallFailed(call_id, code, text))
        self.served.discard(call_id)

    @rule(size=pieces)
    def carry_to_server(self, size: int) -> None:
        """Let some bytes arrive."""
        self.to_server += self.client.data_to_send()
        self.server.receive_data(bytes(self.to_server[:size]))
        del self.to_server[:size]
        for event in self.server.events_received():
            self.tell_server(event)

    @rule(size=pieces)
    def carry_to_client(self, size: int) -> None:
        """Let some bytes arrive."""
        self.to_client += self.server.data_to_send()
        self.client.receive_data(bytes(self.to_client[:size]))
        del self.to_client[:size]
        for event in self.client.events_received():
            self.tell_client(event)

    def tell_server(self, event: ServerEvent) -> None:
        """Check that the server was told the next that was said."""
        assert not isinstance(event, TransportEnded)
        told, said = self.told_server[event.call_id], self.said_to_server[event.call_id]
        if isinstance(event, Invoked):
            self.served.add(event.call_id)
        assert event.call_id in self.served
        told.append(event)
        assert event == said[len(told) - 1]
        if isinstance(event, CallCancelled):
            self.served.remove(event.call_id)

    def tell_client(self, event: ClientEvent) -> None:
        """Check that the client was told the next that was said."""
        assert not isinstance(event, TransportEnded)
        assert event.call_id not in self.given_up
        told, said = self.told_client[event.call_id], self.said_to_client[event.call_id]
        told.append(event)
        assert event == said[len(told) - 1]
        if isinstance(event, ENDS):
            self.is_receiving = False
        if isinstance(event, CallFailed):
            self.is_sending = False

    @rule()
    def lose_connection(self) -> None:
        """End both ends with bytes under way, and begin anew."""
        self.server.receive_eof()
        self.client.receive_eof()

        assert self.server.events_received() == [
            *(CallCancelled(call_id, CancelReason.EOF) for call_id in self.served),
            TransportEnded(),
        ]
        cancelled = [CallCancelled(self.newest, CancelReason.EOF)] * self.is_receiving
        assert self.client.events_received() == [*cancelled, TransportEnded()]
        self.connect()

    def teardown(self) -> None:
        """Let all bytes arrive: nothing that was said is missing."""
        self.carry_to_server(1 << 30)
        self.carry_to_client(1 << 30)

        for call_id, said in self.said_to_server.items():
            is_answered = any(isinstance(event, ENDS) for event in self.said_to_client[call_id])
            assert is_answered or self.told_server[call_id] == said
        for call_id, answer in self.said_to_client.items():
            assert call_id in self.given_up or self.told_client[call_id] == answer
        assert self.served <= {self.newest}


Pair.TestCase.settings = settings(stateful_step_count=60, max_examples=100, deadline=None)
TestBothAreToldWhatTheOtherSaid = Pair.TestCase
