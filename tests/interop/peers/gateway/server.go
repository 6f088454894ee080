package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/coder/websocket"
	"github.com/hashicorp/yamux"
	"storj.io/drpc"
	"storj.io/drpc/drpcerr"
	"storj.io/drpc/drpcmetadata"
	"storj.io/drpc/drpcserver"
)

// A server is what the client is proven against: no bridge, but the same libraries.
//
// RPCs of /proto. are printed and answered with an empty message, which all their answers may
// be. WatchAIProviders has one at once and one for each line "change" that is read; a line "end"
// ends it. /test/Echo answers with its request, /test/Metadata with the metadata as JSON,
// /test/Fail with the request as an error of code 7; /test/Wait does not answer, and prints when
// it begins and when it is cancelled.
type server struct {
	key     string
	out     *output
	config  *yamux.Config
	handler *drpcserver.Server

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, at each change
	ended   chan struct{} // closed, and replaced, when streams must end
}

func serve(o options, in io.Reader, out *output) error {
	s := &server{key: o.key, out: out, config: yamux.DefaultConfig()}
	s.config.AcceptBacklog = 4096
	s.config.LogOutput = os.Stderr
	s.handler = drpcserver.NewWithOptions(s, drpcserver.Options{Manager: drpcOptions()})
	s.changed, s.ended = make(chan struct{}), make(chan struct{})
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	out.print(event{Event: "listening", URL: "ws://" + listener.Addr().String()})
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+endpoint, s.accept)
	go func() { _ = http.Serve(listener, mux) }()
	s.obey(in)
	return nil
}

func (s *server) obey(in io.Reader) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		s.mu.Lock()
		switch lines.Text() {
		case "change":
			close(s.changed)
			s.changed = make(chan struct{})
		case "end":
			close(s.ended)
			s.ended = make(chan struct{})
		}
		s.mu.Unlock()
	}
}

func (s *server) signals() (changed, ended <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed, s.ended
}

func (s *server) accept(w http.ResponseWriter, r *http.Request) {
	switch key := r.Header.Get(keyHeader); {
	case key == "":
		refuse(w, http.StatusUnauthorized, "AI Gateway key required.")
	case key != s.key:
		refuse(w, http.StatusUnauthorized, "AI Gateway key invalid.")
	case !strings.HasPrefix(r.URL.Query().Get("version"), "1."):
		refuse(w, http.StatusBadRequest, "Incompatible or unparsable version")
	default:
		s.out.print(event{Event: "accepted", Build: r.Header.Get(buildHeader)})
		s.session(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

func (s *server) session(w http.ResponseWriter, r *http.Request) {
	options := &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled}
	socket, err := websocket.Accept(w, r, options)
	if err != nil {
		return // Accept has answered
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	mux, err := yamux.Server(websocket.NetConn(ctx, socket, websocket.MessageBinary), s.config)
	if err != nil {
		return
	}
	defer mux.Close()
	for {
		stream, err := mux.AcceptStream()
		if err != nil {
			return
		}
		go func() { _ = s.handler.ServeOne(ctx, stream) }()
	}
}

// HandleRPC answers one call.
func (s *server) HandleRPC(stream drpc.Stream, rpc string) error {
	if !strings.HasPrefix(rpc, "/proto.") && !strings.HasPrefix(rpc, "/test/") {
		return drpc.ProtocolError.New("unknown rpc: %q", rpc)
	}
	var message raw
	if err := stream.MsgRecv(&message, rawEncoding{}); err != nil {
		return err
	}
	metadata, _ := drpcmetadata.Get(stream.Context())
	if rpc == "/proto.ProviderConfigurator/WatchAIProviders" {
		return s.watch(stream, message)
	}
	if !strings.HasPrefix(rpc, "/test/") {
		s.out.print(event{Event: "call", RPC: rpc, Request: message, Metadata: metadata})
		message = raw{}
		return stream.MsgSend(&message, rawEncoding{})
	}
	message, err := s.test(stream.Context(), rpc, message, metadata)
	if err != nil {
		return err
	}
	return stream.MsgSend(&message, rawEncoding{})
}

func (s *server) test(
	ctx context.Context, rpc string, message raw, metadata map[string]string,
) (raw, error) {
	switch rpc {
	case "/test/Echo":
		return message, nil
	case "/test/Metadata":
		return json.Marshal(metadata)
	case "/test/Fail":
		return nil, drpcerr.WithCode(errors.New(string(message)), 7)
	case "/test/Wait":
		s.out.print(event{Event: "waiting", Request: message})
		<-ctx.Done()
		s.out.print(event{Event: "cancelled", Request: message})
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("%s is none of ours", rpc)
}

func (s *server) watch(stream drpc.Stream, request raw) error {
	_, ended := s.signals()
	for {
		changed, _ := s.signals()
		// The client may be gone before this has returned.
		if err := stream.MsgSend(&raw{}, rawEncoding{}); err != nil {
			s.out.print(event{Event: "cancelled", Request: request})
			return err
		}
		select {
		case <-changed:
		case <-ended:
			return nil
		case <-stream.Context().Done():
			s.out.print(event{Event: "cancelled", Request: request})
			return nil
		}
	}
}
