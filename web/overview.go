package web

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"busbar/catalog"
	"busbar/journal"
	"busbar/ocpi"
	"busbar/parties"
)

// holdingJSON is what the hub holds of one owner.
type holdingJSON struct {
	Owner   ocpi.PartyKey `json:"owner"`
	Module  ocpi.ModuleID `json:"module"`
	Objects int           `json:"objects"`
	// Newest is the latest last_updated, ChangedAt when the hub last took a
	// change in.
	Newest    *time.Time `json:"newest"`
	ChangedAt *time.Time `json:"changed_at"`
}

// holdingsJSON is what the hub holds of one module.
type holdingsJSON struct {
	Objects int           `json:"objects"`
	Newest  *time.Time    `json:"newest"`
	Owners  []holdingJSON `json:"owners"`
}

func showHoldings(counts []catalog.Count, module ocpi.ModuleID) holdingsJSON {
	out := holdingsJSON{Owners: []holdingJSON{}}
	var newest time.Time
	for _, n := range counts {
		if n.Module != module {
			continue
		}
		out.Objects += n.Objects
		if n.Newest.After(newest) {
			newest = n.Newest
		}
		out.Owners = append(out.Owners, holdingJSON{n.Owner, n.Module, n.Objects, moment(n.Newest), moment(n.ChangedAt)})
	}
	out.Newest = moment(newest)
	return out
}

// catalogJSON is the Locations that the hub holds, and its Tariffs beside them.
type catalogJSON struct {
	Loaded bool `json:"loaded"`
	holdingsJSON
	Tariffs holdingsJSON `json:"tariffs"`
}

func (s *Server) holdings() catalogJSON {
	counts := s.cfg.Catalog.Counts()
	return catalogJSON{
		s.cfg.Catalog.Loaded(), showHoldings(counts, ocpi.ModuleLocations), showHoldings(counts, ocpi.ModuleTariffs),
	}
}

func (s *Server) showCatalog(c *gin.Context) { c.JSON(http.StatusOK, s.holdings()) }

// overviewJSON is what the console's first page shows, of all replicas.
type overviewJSON struct {
	Time      string         `json:"time"`
	Hub       hubJSON        `json:"hub"`
	Platforms []feederJSON   `json:"platforms"`
	Statuses  map[string]int `json:"statuses"`
	Parties   int            `json:"parties"`
	// Minute is a point for each of the last sixty seconds.
	Minute     []pointJSON `json:"minute"`
	LastMinute figuresJSON `json:"last_minute"`
	Queue      int         `json:"queue"`
	Catalog    catalogJSON `json:"catalog"`
	// Replicas are those that the figures are of, the one that answers first.
	// Partial tells that the others could not be asked.
	Replicas       []replicaJSON   `json:"replicas"`
	Partial        bool            `json:"partial"`
	NeedsAttention []attentionJSON `json:"needs_attention"`
}

type hubJSON struct {
	Party       ocpi.PartyKey `json:"party"`
	Name        string        `json:"name"`
	VersionsURL string        `json:"versions_url"`
	Agreements  string        `json:"agreements"`
}

// feederJSON is a platform in the overview.
type feederJSON struct {
	ID          parties.PlatformID    `json:"id"`
	Name        string                `json:"name"`
	Status      ocpi.ConnectionStatus `json:"status"`
	StatusSince *time.Time            `json:"status_since"`
	Registered  bool                  `json:"registered"`
	Roles       []roleJSON            `json:"roles"`
	Parties     []string              `json:"parties"`
	LastSeen    *time.Time            `json:"last_seen"`
	// Queue is how many legs of broadcasts wait for the platform.
	Queue int `json:"queue"`
	// unopened tells that the hub cannot open its own token at the platform.
	unopened bool
}

type pointJSON struct {
	Time     string        `json:"time"`
	Messages int           `json:"messages"`
	Failed   int           `json:"failed"`
	HubMS    quantilesJSON `json:"hub_ms"`
	PeerMS   quantilesJSON `json:"peer_ms"`
	LagMS    quantilesJSON `json:"broadcast_lag_ms"`
}

type figuresJSON struct {
	Messages          int     `json:"messages"`
	Failed            int     `json:"failed"`
	MessagesPerSecond float64 `json:"messages_per_second"`
	// FailingShare is between 0 and 1.
	FailingShare float64       `json:"failing_share"`
	HubMS        quantilesJSON `json:"hub_ms"`
	PeerMS       quantilesJSON `json:"peer_ms"`
	LagMS        quantilesJSON `json:"broadcast_lag_ms"`
}

type quantilesJSON struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

func showQuantiles(q journal.Quantiles) quantilesJSON {
	return quantilesJSON{milliseconds(q.P50), milliseconds(q.P99)}
}

func (s *Server) overview(c *gin.Context) {
	minute, hub := s.cfg.Journal.Figures(c.Request.Context()), s.cfg.Registrar.Hub()
	lanes, queue, replicas := s.replicas(minute.Replicas)
	out := overviewJSON{
		Time: ocpi.FormatTime(time.Now()), Hub: hubJSON{hub.Party, hub.Name, hub.VersionsURL(), s.policy()},
		Statuses: map[string]int{}, Queue: queue, Catalog: s.holdings(), Replicas: replicas, Partial: minute.Partial,
		LastMinute: showFigures(minute.Total), Minute: make([]pointJSON, 0, len(minute.Seconds)),
	}
	for _, sec := range minute.Seconds {
		out.Minute = append(out.Minute, pointJSON{
			ocpi.FormatTime(sec.Time), sec.Messages, sec.Failed,
			showQuantiles(sec.Hub), showQuantiles(sec.Peer), showQuantiles(sec.Lag),
		})
	}
	for _, status := range []ocpi.ConnectionStatus{ocpi.Connected, ocpi.Offline, ocpi.Planned, ocpi.Suspended} {
		out.Statuses[string(status)] = 0
	}
	out.Platforms = s.feeders(lanes)
	known := map[string]bool{}
	for _, f := range out.Platforms {
		out.Statuses[string(f.Status)]++
		for _, p := range f.Parties {
			known[p] = true
		}
	}
	out.Parties = len(known)
	out.NeedsAttention = attention(out, minute.Failing)
	c.JSON(http.StatusOK, out)
}

func showFigures(total journal.Second) figuresJSON {
	out := figuresJSON{
		Messages: total.Messages, Failed: total.Failed, MessagesPerSecond: float64(total.Messages) / 60,
		HubMS: showQuantiles(total.Hub), PeerMS: showQuantiles(total.Peer), LagMS: showQuantiles(total.Lag),
	}
	if total.Messages > 0 {
		out.FailingShare = float64(total.Failed) / float64(total.Messages)
	}
	return out
}

// feeders are the platforms, the oldest first, with what waits for them.
func (s *Server) feeders(lanes map[parties.PlatformID]int) []feederJSON {
	out := []feederJSON{}
	for _, e := range s.cfg.Directory.Snapshot().Platforms() {
		p := &e.Platform
		f := feederJSON{
			ID: p.ID, Name: p.Name, Status: p.Status, StatusSince: moment(p.StatusSince), Registered: p.Registered(),
			Roles: showRoles(p.PartyRoles()), Parties: []string{}, LastSeen: moment(e.LastSeen()), Queue: lanes[p.ID],
			unopened: p.Unopened != "",
		}
		for _, party := range p.Parties() {
			f.Parties = append(f.Parties, party.String())
		}
		out = append(out, f)
	}
	return out
}
