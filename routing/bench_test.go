package routing

import (
	"testing"

	"busbar/ocpi"
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
