package routing

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// BenchmarkDecideDirect is what every directly routed message pays for its plan.
func BenchmarkDecideDirect(b *testing.B) {
	s := network(b)
	v := View{Snapshot: s, Hub: party(b, "EUBUS")}
	caller := s.Platform("chargers")
	req := &ocpi.Request{
		Method: "PATCH", Interface: ocpi.Receiver, Module: ocpi.ModuleLocations, Path: "/NL/CPA/L1/E1",
		From: ocpi.AddressOf(party(b, "NLCPA")), To: ocpi.AddressOf(party(b, "DEMSP")),
	}
	b.ReportAllocs()
	for b.Loop() {
		if p := Decide(v, caller, req); p.Kind != PlanDirect {
			b.Fatal(p.Refusal)
		}
	}
}

// BenchmarkRouteDirect is a PATCH that is carried to a receiver that does next to
// nothing, and back, with what the hub learns and counts of it (P2).
func BenchmarkRouteDirect(b *testing.B) {
	d := parties.NewDirectory(peer.NewDialer(peer.DialerConfig{AllowPrivate: true}))
	d.Apply(platform("chargers", nil, role(b, "NLCPA", ocpi.RoleCPO)), 1)
	receiver := quickReceiver(b)
	d.Apply(platform("drivers", func(p *parties.Platform) {
		for i := range p.Endpoints {
			p.Endpoints[i].URL = "http://" + receiver + "/" + string(p.Endpoints[i].Identifier)
		}
	}, role(b, "DEMSP", ocpi.RoleEMSP)), 1)
	r := NewRouter(RouterConfig{
		Directory: d, Hub: parties.Identity{Party: party(b, "EUBUS"), PublicURL: "https://hub.test"}, Timeout: 30 * time.Second,
		Index: NewIndex(IndexConfig{}), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	caller, body := d.Snapshot().Platform("chargers"), []byte(benchBody)
	from, to := ocpi.AddressOf(party(b, "NLCPA")), ocpi.AddressOf(party(b, "DEMSP"))
	b.ReportAllocs()
	for b.Loop() {
		req := ocpi.Request{
			Method: "PATCH", Interface: ocpi.Receiver, Module: ocpi.ModuleLocations, Version: ocpi.V221, Path: "/NL/CPA/L1/E1",
			From: from, To: to, Body: body, CorrelationID: "c-1", RequestID: "r-1",
		}
		reply := r.Route(b.Context(), caller, &req, time.Now())
		if reply.Status != ocpi.Success {
			b.Fatal(reply.Status, string(reply.Body))
		}
		reply.Release()
	}
}
