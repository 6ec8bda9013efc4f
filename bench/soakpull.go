//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// pulling is what the full pulls brought.
type pulling struct {
	Done  int
	Pages int
	// Locations and EVSEs are those of the last pull, Bytes all.
	Locations, EVSEs int
	Bytes            int64
	// Took is the longest, Page the slowest page.
	Took, Page time.Duration
	// Caught are Locations that receivers fetched which had been away.
	Caught int
}

// pullAll lets eMSPs GET all Locations, one after the other, as long as ctx lasts.
func (s *soaking) pullAll(ctx context.Context) error {
	readers := s.field.in(healthy)
	for i := range s.opts.Pulls {
		locations, evses := 0, 0
		begin := time.Now()
		err := s.pages(ctx, i, readers[i%len(readers)], "", func(body []byte) error {
			evses += bytes.Count(body, evseMark)
			locations += bytes.Count(body, []byte(`"energy_mix":`))
			return nil
		})
		if err != nil {
			return fmt.Errorf("GET All: %w", err)
		}
		s.pulls.Done++
		s.pulls.Locations, s.pulls.EVSEs = locations, evses
		s.pulls.Took = max(s.pulls.Took, time.Since(begin))
	}
	return nil
}

// pages reads a list of Locations from the i-th replica, page by page.
func (s *soaking) pages(ctx context.Context, i int, reader platform, filter string, each func([]byte) error) error {
	addr := s.hubs[i%len(s.hubs)].seat.listen
	for path := firstPage + filter; path != ""; {
		begin := time.Now()
		page, err := s.caller.do(ctx, message{
			Method: http.MethodGet, URL: "http://" + addr + path,
			Authorization: reader.authorization(), From: reader.Parties[0], To: hubParty,
		})
		if err != nil {
			return err
		}
		if !page.ok() {
			return fmt.Errorf("%s: %d %.300s", path, page.HTTP, page.Body)
		}
		s.pulls.Pages++
		s.pulls.Bytes += int64(len(page.Body))
		s.pulls.Page = max(s.pulls.Page, time.Since(begin))
		if err := each(page.Body); err != nil {
			return err
		}
		path = nextPage(page.Header.Get("Link"))
	}
	return nil
}

// differing compares what the i-th replica has with what was accepted. It counts
// the EVSEs of which it has another last state, or none.
func (s *soaking) differing(ctx context.Context, i int) (int, error) {
	found := make(map[string]int64)
	filter := "&date_from=" + url.QueryEscape(formatTime(s.begun.Add(-time.Second)))
	err := s.pages(ctx, i, s.field.in(healthy)[0], filter, func(body []byte) error { return collect(found, body) })
	if err != nil {
		return 0, err
	}
	differing := 0
	for path, e := range s.drive.evses {
		if e.states > 0 && found[path] != e.last {
			differing++
		}
	}
	return differing, nil
}

// collect notes the last_updated of the EVSEs in a page that were pushed.
func collect(found map[string]int64, page []byte) error {
	var list struct {
		Data []struct {
			CountryCode string `json:"country_code"`
			PartyID     string `json:"party_id"`
			ID          string `json:"id"`
			EVSEs       []struct {
				UID         string `json:"uid"`
				LastUpdated string `json:"last_updated"`
			} `json:"evses"`
		} `json:"data"`
	}
	if err := json.Unmarshal(page, &list); err != nil {
		return err
	}
	for _, l := range list.Data {
		for _, e := range l.EVSEs {
			if at, ok := microsOf([]byte(e.LastUpdated)); ok {
				found[l.CountryCode+"/"+l.PartyID+"/"+l.ID+"/"+e.UID] = at
			}
		}
	}
	return nil
}

// catchUp is what a receiver does that was away: it calls, and GETs what changed
// since.
func (s *soaking) catchUp(ctx context.Context, p platform, since time.Time) error {
	m := message{Method: http.MethodGet, URL: "http://" + s.hubs[0].seat.listen + "/ocpi/versions", Authorization: p.authorization()}
	if err := s.caller.ask(ctx, m, nil); err != nil {
		return err
	}
	return s.pages(ctx, 0, p, "&date_from="+url.QueryEscape(formatTime(since)), func(body []byte) error {
		s.pulls.Caught += bytes.Count(body, []byte(`"energy_mix":`))
		return nil
	})
}
