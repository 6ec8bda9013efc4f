//go:build linux

package main

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"busbar/ocpi"
)

// Who fills the catalog of P5 and P6: a hundred owners, over many connections,
// so that the hub can commit what arrives together.
const (
	stockParties   = 100
	stockPlatforms = 10
	stockedBy      = 128
)

// stock is a hub whose catalog is full: that of P5 and P6.
type stock struct {
	seat hubSeat
	hub  *contestant
	// reader is an eMSP. It registers when the Locations are there: else each
	// would be sent to it.
	reader field
	// Locations are how many there are, Raw the bytes of their documents.
	Locations int
	Raw       int64
	Took      time.Duration
	// Empty and Full are the memory before and after.
	Empty, Full int64
}

// stocked starts and fills the hub, once.
func (l *lineup) stocked(ctx context.Context) (*stock, error) {
	if l.stock != nil {
		return l.stock, nil
	}
	f, reader := stockField()
	seat, err := newHubSeat(l.hubConfig(busbarName+"-stocked", f))
	if err != nil {
		return nil, err
	}
	s := &stock{seat: seat, reader: reader}
	if err := l.startStock(ctx, s); err != nil {
		return nil, err
	}
	if err := seat.register(ctx, f); err != nil {
		return nil, err
	}
	if s.Empty, err = settledMemory(ctx, s.hub.process.cmd.Process.Pid); err != nil {
		return nil, err
	}
	if err := l.fill(s); err != nil {
		return nil, err
	}
	if s.Full, err = settledMemory(ctx, s.hub.process.cmd.Process.Pid); err != nil {
		return nil, err
	}
	l.stock = s
	return s, seat.register(ctx, reader)
}

// stockField is the owners of the Locations, and the reader.
func stockField() (owners, reader field) {
	f := newMarket(stockPlatforms, 1, 0)
	for i := range stockPlatforms {
		f[i].Parties = nil
		for n := i; n < stockParties; n += stockPlatforms {
			f[i].Parties = append(f[i].Parties, partyNumber(100+n))
		}
	}
	return f[:stockPlatforms], f[stockPlatforms:]
}

// startStock starts the hub, or starts it again.
func (l *lineup) startStock(ctx context.Context, s *stock) error {
	p, err := s.seat.start(ctx)
	if err != nil {
		return err
	}
	s.hub, err = l.add(s.seat.contestant(p), nil)
	return err
}

// fill pushes the Locations for as long as is allowed.
func (l *lineup) fill(s *stock) error {
	l.opts.Say("%s: pushing %d Locations, for at most %v", s.hub.Name, l.opts.Objects, l.opts.IngestLimit)
	result, err := l.loader.do(loadCommand{Contestant: s.hub.Name, Push: &loadPush{
		Target: s.seat.Field.target(s.seat.listen), Connections: stockedBy, Whole: true, Objects: l.opts.Objects,
		Pace: pace{Count: l.opts.Objects, Duration: l.opts.IngestLimit},
	}})
	if err != nil {
		return err
	}
	s.Locations, s.Raw, s.Took = int(result.Requests), result.Push.Bytes, result.Elapsed
	if s.Locations <= 2*ocpi.MaxPage {
		return fmt.Errorf("%s took in %d Locations in %v", s.hub.Name, s.Locations, s.Took)
	}
	l.opts.Say("%s: %s", s.hub.Name, s)
	return nil
}

func (s *stock) String() string {
	return fmt.Sprintf("%d Locations of %d bytes pushed and kept in %.0f s: %.0f/s", s.Locations, s.Raw/int64(s.Locations),
		s.Took.Seconds(), float64(s.Locations)/s.Took.Seconds())
}

// restart ends the hub and starts it again on its data. It takes until the
// catalog answers.
func (l *lineup) restart(ctx context.Context, s *stock) (time.Duration, error) {
	s.hub.process.stop()
	begin := time.Now()
	if err := l.startStock(ctx, s); err != nil {
		return 0, err
	}
	err := s.hub.process.await(ctx, func() bool {
		p, err := s.page(firstPage)
		return err == nil && p.total == s.Locations
	})
	return time.Since(begin), err
}

// firstPage is the path and query of the first page of the Locations.
var firstPage = "/ocpi/2.2.1/sender/locations?limit=" + strconv.Itoa(ocpi.MaxPage)

// page is one page as the hub answers it.
type page struct {
	body  []byte
	total int
	// next is the path and query of the next; empty when this is the last.
	next string
}

// target asks the hub for a page, as the reader.
func (s *stock) target(path string) target {
	reader := s.reader[0]
	return target{
		Addr: s.seat.listen, Path: path, Receivers: []ocpi.PartyKey{hubParty},
		Callers: []caller{{reader.Inbound.Authorization(ocpi.TokenBase64), reader.Parties}},
	}
}

// page gets one.
func (s *stock) page(path string) (page, error) {
	t := s.target(path)
	w := getPage()
	w.Path = path
	head, body, err := exchangeOnce(t.Addr, newRequest(w, t.Addr, t.Callers[0], t.Callers[0].Parties[0]), hubParty)
	if err != nil {
		return page{}, err
	}
	if statusOf(head) != 200 || !succeeded(body) {
		return page{}, fmt.Errorf("GET %s: %.300s … %.300s", path, head, body)
	}
	p := page{body: body, next: nextPage(headerOf(head, ocpi.HeaderLink))}
	p.total, err = strconv.Atoi(headerOf(head, ocpi.HeaderTotalCount))
	return p, err
}

var linkNext = regexp.MustCompile(`<([^>]+)>; *rel="next"`)

// nextPage is the path and query in a Link; empty when there is none.
func nextPage(link string) string {
	m := linkNext.FindStringSubmatch(link)
	if m == nil {
		return ""
	}
	u, err := url.Parse(m[1])
	if err != nil {
		return ""
	}
	return u.RequestURI()
}

// lastPage finds the last page's link: the one before is asked for by its
// offset, once.
func (s *stock) lastPage() (path string, err error) {
	before, err := s.page(firstPage + "&offset=" + strconv.Itoa(s.Locations-2*ocpi.MaxPage))
	if err != nil {
		return "", err
	}
	last, err := s.page(before.next)
	if err == nil && last.next != "" {
		err = fmt.Errorf("the page behind offset %d is not the last", s.Locations-ocpi.MaxPage)
	}
	return before.next, err
}

// kept compares the memory that Locations take with their bytes (P6).
func (l *lineup) kept(ctx context.Context, m mark) (findings, error) {
	s, err := l.stocked(ctx)
	if err != nil {
		return findings{}, err
	}
	took, err := l.restart(ctx, s)
	if err != nil {
		return findings{}, fmt.Errorf("restart: %w", err)
	}
	again, err := settledMemory(ctx, s.hub.process.cmd.Process.Pid)
	if err != nil {
		return findings{}, err
	}
	line := func(subject string, full int64) comparison {
		r := float64(full-s.Empty) / float64(s.Raw)
		return comparison{
			Mark: m.ID, Work: fmt.Sprintf("keep %d Locations", s.Locations), Measure: memoryMeasure, Subject: subject,
			Baseline: "their bytes", Ratio: spread{r, r, r}, Goal: goal{Most: 0.4, Judged: true},
		}
	}
	return findings{
		Comparisons: []comparison{line(busbarName+"-filled", s.Full), line(busbarName+"-restarted", again)},
		Notes: []string{
			fmt.Sprintf("%s: %s", m.ID, s),
			fmt.Sprintf("%s: documents %d MB; the hub holds %d MB when empty, %d MB when filled, %d MB when restarted, which took %.1f s",
				m.ID, s.Raw>>20, s.Empty>>20, s.Full>>20, again>>20, took.Seconds()),
		},
	}, nil
}
