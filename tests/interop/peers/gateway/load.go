package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

type summary struct {
	Event       string         `json:"event"`
	Calls       int            `json:"calls"`
	Failed      int            `json:"failed"`
	Errors      map[string]int `json:"errors"` // how many calls have failed with this text
	P50MS       float64        `json:"p50_ms"`
	P99MS       float64        `json:"p99_ms"`
	MaxMS       float64        `json:"max_ms"`
	Seconds     float64        `json:"seconds"`
	CallsPerS   float64        `json:"calls_per_s"`
	AnswersSeen int            `json:"answers_seen"` // how many different ones
}

// load makes -load unary calls of the requests that it reads, again and again from the first.
//
// They begin together. When -concurrency streams have been opened, an event says so.
func load(ctx context.Context, l *link, in io.Reader, o options, out *output) error {
	requests, err := readAll(in)
	if err != nil {
		return err
	}
	atOnce := min(o.concurrency, o.load)
	var opened, next atomic.Int64
	count := func() {
		if opened.Add(1) == int64(atOnce) {
			out.print(event{Event: "opened"})
		}
	}
	started := time.Now()
	results := make([]result, o.load)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < o.load; i = int(next.Add(1)) - 1 {
				results[i] = l.call(ctx, requests[i%len(requests)], count)
			}
		})
	}
	workers.Wait()
	out.print(sumUp(results, time.Since(started)))
	return nil
}

func readAll(in io.Reader) ([]request, error) {
	var requests []request
	for decoder := json.NewDecoder(in); ; {
		var r request
		switch err := decoder.Decode(&r); {
		case errors.Is(err, io.EOF) && len(requests) > 0:
			return requests, nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("standard input has no request")
		case err != nil:
			return nil, fmt.Errorf("standard input: %w", err)
		}
		requests = append(requests, r)
	}
}

func sumUp(results []result, took time.Duration) summary {
	s := summary{Event: "load", Calls: len(results), Errors: map[string]int{}}
	times := make([]float64, 0, len(results))
	answers := map[string]struct{}{}
	for _, each := range results {
		times = append(times, each.MS)
		if each.Error != "" {
			s.Failed++
			s.Errors[each.Error]++
		} else {
			answers[string(each.Response)] = struct{}{}
		}
	}
	slices.Sort(times)
	s.P50MS, s.P99MS, s.MaxMS = times[len(times)/2], times[len(times)*99/100], times[len(times)-1]
	s.Seconds, s.CallsPerS = took.Seconds(), float64(len(results))/took.Seconds()
	s.AnswersSeen = len(answers)
	return s
}
