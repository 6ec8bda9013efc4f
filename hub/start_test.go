package hub_test

import (
	"testing"
	"time"

	"busbar/hub"
	"busbar/hub/hubtest"
	"busbar/storage/storagetest"
)

// TestStart_BesideARedisThatDoesNotAnswerIsSoon: what is routed directly is known
// from the record.
func TestStart_BesideARedisThatDoesNotAnswerIsSoon(t *testing.T) {
	t.Parallel()
	line, redis := storagetest.NewLine(t, storagetest.Redis(t))
	h := hubtest.StartProcess(t, hub.Settings{
		Database: storagetest.Postgres(t), Redis: redis, SecretKey: storagetest.Secret(0), Drain: "0s",
	})
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	line.Silence()
	began := time.Now()
	h.Begin()
	took := time.Since(began)
	got := h.Send(t, hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/tokens", Token: cpo.TokenC, To: "DE/MSP"})
	wantHTTP(t, "a direct message", got, 200, 1000)
	if took > 10*time.Second || len(msp.Received()) != 1 {
		t.Errorf("it listens after %s; the receiver got %v", took, msp.Received())
	}
	t.Logf("took %s", took)
}
