package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"storj.io/drpc"
)

// A raw message is sent and received as the bytes that it is: Python knows what they mean.
type raw []byte

type rawEncoding struct{}

func (rawEncoding) Marshal(message drpc.Message) ([]byte, error) {
	return *message.(*raw), nil
}

func (rawEncoding) Unmarshal(buffer []byte, message drpc.Message) error {
	*message.(*raw) = append(raw{}, buffer...)
	return nil
}

// What is read: a call, or one of the two other fields.
type request struct {
	ID            string            `json:"id"`
	RPC           string            `json:"rpc"`
	Request       raw               `json:"request"`
	Metadata      map[string]string `json:"metadata"`
	TimeoutMS     int               `json:"timeout_ms"`
	CancelAfterMS *int              `json:"cancel_after_ms"`
	Stream        streamed          `json:"stream"`

	Cancel     string `json:"cancel"`      // id of the call to cancel
	AwaitPings int    `json:"await_pings"` // answer after so many pings of the keepalive
}

// How many messages are received before the call is cancelled; true is endless, so is -1.
type streamed int

func (s *streamed) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case "false", "null":
		*s = 0
	case "true":
		*s = -1
	default:
		return json.Unmarshal(text, (*int)(s))
	}
	return nil
}

// What is printed when a call is over.
type result struct {
	ID       string  `json:"id"`
	Response raw     `json:"response"` // null if there is none
	Messages int     `json:"messages"` // how many a stream had
	Error    string  `json:"error"`
	Code     uint64  `json:"code"`
	MS       float64 `json:"ms"`
}

// What is printed for each message of a stream.
type received struct {
	ID      string `json:"id"`
	Number  int    `json:"number"`
	Message raw    `json:"message"`
}

// What happened to the connection, or was seen by the server.
type event struct {
	Event    string            `json:"event"`
	Session  int               `json:"session,omitempty"`
	Error    string            `json:"error,omitempty"`
	Status   int               `json:"status,omitempty"`
	Body     string            `json:"body,omitempty"`
	URL      string            `json:"url,omitempty"`
	RPC      string            `json:"rpc,omitempty"`
	Request  raw               `json:"request,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Build    string            `json:"build,omitempty"`
}

type output struct {
	mu      sync.Mutex
	encoder *json.Encoder
}

func newOutput(w io.Writer) *output {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return &output{encoder: encoder}
}

func (o *output) print(line any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.encoder.Encode(line); err != nil {
		panic(fmt.Sprintf("nobody reads the output: %v", err))
	}
}

// MarshalJSON and UnmarshalJSON are those of []byte: base64, null for nil.
func (r raw) MarshalJSON() ([]byte, error)     { return json.Marshal([]byte(r)) }
func (r *raw) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, (*[]byte)(r)) }
