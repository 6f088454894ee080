package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/hashicorp/yamux"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcwire"
)

const (
	endpoint      = "/api/v2/ai-gateway/serve"
	keyHeader     = "X-Coder-AI-Governance-Gateway-Key"
	buildHeader   = "X-Coder-Build-Version"
	maxFrame      = 256 << 10 // the largest WebSocket message that is read
	maxPacket     = 4 << 20   // the largest DRPC message that is read
	shortestPause = 100 * time.Millisecond
	longestPause  = 10 * time.Second
	pingType      = 2 // of a yamux header, its second byte
	synFlag       = 1 // its fourth byte: a ping that asks, not one that answers
)

// A link keeps a session with the bridge: it dials again as soon as one has ended.
type link struct {
	url      string
	header   http.Header
	config   *yamux.Config
	out      *output
	sessions chan *session // hands out the current one; blocks while there is none
}

type session struct {
	*yamux.Session
	pings chan struct{} // each ping of the keepalive that somebody waits for
}

// A refusal is an HTTP answer in place of a WebSocket.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string { return fmt.Sprintf("refused with %d: %s", r.status, r.body) }

// Nothing that passes by itself is answered with these: a gateway gives up.
func (r *refusal) isFinal() bool {
	switch r.status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return true
	}
	return false
}

func newLink(o options, out *output) (*link, error) {
	address, err := url.Parse(o.url)
	if err != nil || address.Host == "" {
		return nil, fmt.Errorf("-url %q is not an address", o.url)
	}
	address.Path = strings.TrimRight(address.Path, "/") + endpoint
	address.RawQuery = url.Values{"version": {o.version}}.Encode()
	header := http.Header{buildHeader: {o.build}}
	if o.key != "" {
		header.Set(keyHeader, o.key)
	}
	config := yamux.DefaultConfig()
	config.KeepAliveInterval = o.keepalive
	config.ConnectionWriteTimeout = o.timeout
	config.LogOutput = os.Stderr
	return &link{address.String(), header, config, out, make(chan *session)}, nil
}

// keep returns nil when ctx is done, and the refusal if there is no use in going on.
func (l *link) keep(ctx context.Context) error {
	for number := 1; ; number++ {
		s, err := l.connect(ctx)
		if err != nil || s == nil {
			return err
		}
		l.out.print(event{Event: "connected", Session: number})
		why := l.offer(ctx, s)
		if ctx.Err() != nil {
			return s.Close()
		}
		l.out.print(event{Event: "disconnected", Session: number, Error: why.Error()})
	}
}

// connect dials until it has a session; none when ctx is done.
func (l *link) connect(ctx context.Context) (*session, error) {
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		s, err := l.dial(ctx)
		var refused *refusal
		switch {
		case err == nil:
			return s, nil
		case ctx.Err() != nil:
			return nil, nil
		case errors.As(err, &refused):
			l.out.print(event{Event: "refused", Status: refused.status, Body: refused.body})
			if refused.isFinal() {
				return nil, err
			}
		default:
			l.out.print(event{Event: "unreachable", Error: err.Error()})
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, nil
		}
	}
}

func (l *link) dial(ctx context.Context) (*session, error) {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	socket, response, err := websocket.Dial(ctx, l.url, &websocket.DialOptions{
		HTTPHeader:      l.header,
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		if response != nil {
			body, _ := io.ReadAll(response.Body)
			return nil, &refusal{response.StatusCode, string(body)}
		}
		return nil, err
	}
	pings := make(chan struct{})
	conn := &watched{websocket.NetConn(context.Background(), socket, websocket.MessageBinary), pings}
	socket.SetReadLimit(maxFrame) // NetConn has taken the limit away
	mux, err := yamux.Client(conn, l.config)
	return &session{mux, pings}, err
}

// offer hands the session out until it has ended, and says why it has.
func (l *link) offer(ctx context.Context, s *session) error {
	why := make(chan error, 1)
	go func() {
		_, err := s.AcceptStream()
		if err == nil {
			err = errors.New("the bridge has opened a stream")
			_ = s.Close()
		}
		why <- err
	}()
	for {
		select {
		case l.sessions <- s:
		case err := <-why:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// open waits for a session and opens a connection for one call on it.
func (l *link) open(ctx context.Context) (*drpcconn.Conn, error) {
	select {
	case s := <-l.sessions:
		stream, err := s.OpenStream()
		if err != nil {
			return nil, err
		}
		return drpcconn.NewWithOptions(stream, drpcconn.Options{Manager: drpcOptions()}), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func drpcOptions() drpcmanager.Options {
	return drpcmanager.Options{Reader: drpcwire.ReaderOptions{MaximumBufferSize: maxPacket}}
}

// awaitPings returns after the keepalive has sent and got back so many pings.
func (l *link) awaitPings(ctx context.Context, count int) error {
	s := <-l.sessions
	for range count + 1 { // the next ping is sent after the answer to the last
		select {
		case <-s.pings:
		case <-s.CloseChan():
			return errors.New("the session has ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// watched tells of pings that are sent. yamux writes each header by itself.
type watched struct {
	net.Conn
	pings chan<- struct{}
}

func (w *watched) Write(data []byte) (int, error) {
	written, err := w.Conn.Write(data)
	if len(data) == 12 && data[0] == 0 && data[1] == pingType && data[3] == synFlag {
		select {
		case w.pings <- struct{}{}:
		default: // nobody waits
		}
	}
	return written, err
}
