//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"busbar/ocpi"
)

// ocpiCaller sends what the platforms of a soak send. A country's pushes are few
// beside its deliveries: package net/http will do.
type ocpiCaller struct{ client *http.Client }

func newOCPICaller() *ocpiCaller {
	return &ocpiCaller{&http.Client{
		Timeout: 60 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute},
	}}
}

// message is a request; without From it has no routing headers.
type message struct {
	Method, URL   string
	Authorization string
	From, To      ocpi.PartyKey
	Body          []byte
}

// reply is its answer.
type reply struct {
	HTTP   int
	Header http.Header
	Body   []byte
}

// do sends a message; the error is that of the connection.
func (c *ocpiCaller) do(ctx context.Context, m message) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, m.Method, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return reply{}, err
	}
	if m.Authorization != "" {
		req.Header.Set("Authorization", m.Authorization)
	}
	if len(m.Body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if !m.From.IsZero() {
		for name, value := range map[string]string{
			ocpi.HeaderRequestID: ocpi.NewMessageID(), ocpi.HeaderCorrelationID: ocpi.NewMessageID(),
			ocpi.HeaderFromCountryCode: m.From.CountryCode(), ocpi.HeaderFromPartyID: m.From.PartyID(),
			ocpi.HeaderToCountryCode: m.To.CountryCode(), ocpi.HeaderToPartyID: m.To.PartyID(),
		} {
			req.Header[name] = []string{value}
		}
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, body}, err
}

// ask sends a message and reads the data of its answer, which must be a 1000.
func (c *ocpiCaller) ask(ctx context.Context, m message, data any) error {
	r, err := c.do(ctx, m)
	if err != nil {
		return err
	}
	if !r.ok() {
		return fmt.Errorf("%s %s: %d %.300s", m.Method, m.URL, r.HTTP, r.Body)
	}
	if data == nil {
		return nil
	}
	return json.Unmarshal(r.Body, &struct {
		Data any `json:"data"`
	}{data})
}

func (r reply) ok() bool { return r.HTTP == http.StatusOK && succeeded(r.Body) }

// drawing is a source of chance that several goroutines use.
type drawing struct {
	mu sync.Mutex
	of *rand.Rand
}

func newDrawing(seed uint64) *drawing { return &drawing{of: rand.New(rand.NewPCG(seed, 1))} }

func (d *drawing) below(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of.IntN(n)
}

// every calls do for each tick of a rate until the duration has passed or ctx
// ends, each in a goroutine, and waits for them; due is when the call was to be.
// At most so many are under way: beyond that the next is late.
func every(ctx context.Context, rate float64, d time.Duration, most int, do func(due time.Time)) {
	if rate <= 0 {
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	free := make(chan struct{}, most)
	begin := time.Now()
	for n := 0; ; n++ {
		after := time.Duration(float64(n) / rate * float64(time.Second))
		if after >= d || !pause(ctx, time.Until(begin.Add(after))) {
			return
		}
		free <- struct{}{}
		running.Go(func() {
			do(begin.Add(after))
			<-free
		})
	}
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
