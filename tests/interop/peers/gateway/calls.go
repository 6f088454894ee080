package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcerr"
	"storj.io/drpc/drpcmetadata"
)

// answer makes the calls that it reads, and returns after the last answer.
func answer(ctx context.Context, l *link, in io.Reader, o options, out *output) error {
	c := &calls{link: l, out: out, slots: make(chan struct{}, o.concurrency)}
	defer c.pending.Wait()
	for decoder := json.NewDecoder(in); ; {
		var r request
		switch err := decoder.Decode(&r); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("standard input: %w", err)
		case r.Cancel != "":
			c.cancel(r.Cancel)
		default:
			c.begin(ctx, r)
		}
	}
}

type calls struct {
	link    *link
	out     *output
	slots   chan struct{}
	pending sync.WaitGroup
	cancels sync.Map // of the calls that are under way, by id
}

func (c *calls) begin(ctx context.Context, r request) {
	ctx, cancel := context.WithCancel(ctx)
	c.cancels.Store(r.ID, cancel)
	c.pending.Go(func() {
		defer c.cancels.Delete(r.ID)
		defer cancel()
		c.slots <- struct{}{}
		defer func() { <-c.slots }()
		if r.CancelAfterMS != nil {
			defer time.AfterFunc(milliseconds(*r.CancelAfterMS), cancel).Stop()
		}
		c.out.print(c.perform(ctx, r))
	})
}

func (c *calls) cancel(id string) {
	if cancel, ok := c.cancels.Load(id); ok {
		cancel.(context.CancelFunc)()
	}
}

// perform does what one line asks for.
func (c *calls) perform(ctx context.Context, r request) result {
	switch {
	case r.AwaitPings > 0:
		return timed(ctx, r, func(ctx context.Context, _ *result) error {
			return c.link.awaitPings(ctx, r.AwaitPings)
		})
	case r.Stream != 0:
		return timed(ctx, r, func(ctx context.Context, done *result) (err error) {
			done.Messages, err = c.link.stream(ctx, r, c.out)
			return err
		})
	}
	return c.link.call(ctx, r, func() {})
}

// call makes a unary call; it tells when the call's yamux stream is open.
func (l *link) call(ctx context.Context, r request, opened func()) result {
	return timed(ctx, r, func(ctx context.Context, done *result) (err error) {
		done.Response, err = l.unary(ctx, r, opened)
		return err
	})
}

func timed(ctx context.Context, r request, do func(context.Context, *result) error) result {
	if r.TimeoutMS > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, milliseconds(r.TimeoutMS))
		defer stop()
	}
	if len(r.Metadata) > 0 {
		ctx = drpcmetadata.AddPairs(ctx, r.Metadata)
	}
	started := time.Now()
	done := result{ID: r.ID}
	if err := do(ctx, &done); err != nil {
		done.Response, done.Error, done.Code = nil, err.Error(), drpcerr.Code(err)
	}
	done.MS = float64(time.Since(started).Microseconds()) / 1000
	return done
}

func (l *link) unary(ctx context.Context, r request, opened func()) (raw, error) {
	conn, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	opened()
	var response raw
	err = conn.Invoke(ctx, r.RPC, rawEncoding{}, &r.Request, &response)
	return response, err
}

// stream returns how many messages have come when the stream ends or has had enough of them.
func (l *link) stream(ctx context.Context, r request, out *output) (int, error) {
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	conn, err := l.open(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	receive, err := startStream(ctx, conn, r)
	if err != nil {
		return 0, err
	}
	for count := 0; ; count++ {
		if count == int(r.Stream) {
			return count, nil
		}
		message, err := receive()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return count, err
		}
		out.print(received{ID: r.ID, Number: count + 1, Message: message})
	}
}

func startStream(
	ctx context.Context, conn *drpcconn.Conn, r request,
) (receive func() (raw, error), err error) {
	stream, err := conn.NewStream(ctx, r.RPC, rawEncoding{})
	if err != nil {
		return nil, err
	}
	if err := stream.MsgSend(&r.Request, rawEncoding{}); err != nil {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	return func() (message raw, err error) {
		err = stream.MsgRecv(&message, rawEncoding{})
		return message, err
	}, nil
}

func milliseconds(count int) time.Duration { return time.Duration(count) * time.Millisecond }
