// Command gateway connects to a bridge as a stock AI gateway does, for the interop tests.
//
// It makes the calls that it reads from standard input, a JSON object a line, and prints a JSON
// object a line: answers with the call's "id", and an "event" for what happens to the connection.
// With -load it makes many calls at once and prints one summary. With -server it is the other
// end, with trivial answers, so that this program can be proven against itself.
//
// It exits with 0 after the end of its input and the last answer, with 1 if it cannot run, and
// with 3 if the bridge refuses it for good, as a stock gateway does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

type options struct {
	url, key, version, build string
	keepalive, timeout       time.Duration
	concurrency, load        int
	server                   bool
	listen                   string
}

func main() {
	var o options
	flag.StringVar(&o.url, "url", "", "the bridge: http, https, ws or wss")
	flag.StringVar(&o.key, "key", "", "the gateway key")
	flag.StringVar(&o.version, "version", "1.2", "version of the API that is asked for")
	flag.StringVar(&o.build, "build", "v2.36.0", "version of the gateway that is told")
	flag.DurationVar(&o.keepalive, "keepalive", 30*time.Second, "time between two pings")
	flag.DurationVar(&o.timeout, "write-timeout", 10*time.Second, "how long a ping is waited for")
	flag.IntVar(&o.concurrency, "concurrency", 4096, "how many calls are made at once")
	flag.IntVar(&o.load, "load", 0, "make so many calls, of the requests read, and sum them up")
	flag.BoolVar(&o.server, "server", false, "be the bridge")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "where to listen with -server")
	flag.Parse()

	err := run(context.Background(), o)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		os.Exit(3)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	out := newOutput(os.Stdout)
	if o.server {
		return serve(o, os.Stdin, out)
	}
	l, err := newLink(o, out)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	kept := make(chan error, 1)
	go func() { kept <- l.keep(ctx) }()
	done := make(chan error, 1)
	go func() {
		<-l.sessions // the process ends if it is refused
		if o.load > 0 {
			done <- load(ctx, l, os.Stdin, o, out)
		} else {
			done <- answer(ctx, l, os.Stdin, o, out)
		}
	}()
	select {
	case err := <-kept:
		return err
	case err := <-done:
		stop()
		return errors.Join(err, <-kept)
	}
}
