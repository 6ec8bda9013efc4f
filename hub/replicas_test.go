package hub_test

import (
	"strings"
	"testing"

	"busbar/hub"
	"busbar/hub/hubtest"
	"busbar/storage/storagetest"
)

// shared makes hubs that are replicas of one another: the same Postgres, Redis
// and keys.
func shared(t *testing.T) func(*hub.Config) {
	t.Helper()
	postgres, redis := storagetest.Postgres(t), storagetest.Redis(t)
	return func(c *hub.Config) {
		c.Database, c.Redis = postgres, redis
		c.SecretKeys = []string{"a-secret-key-of-thirty-two-characters-or-more"}
	}
}

// eventually repeats a request to a replica until it is answered as wanted. It
// ends with the test's deadline otherwise: what is waited for arrives by news.
func eventually(t *testing.T, what string, try func() *hubtest.Response, http, ocpi int) {
	t.Helper()
	for {
		got := try()
		if got.Status == http && got.OCPI() == ocpi {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("%s: still HTTP %d OCPI %d", what, got.Status, got.OCPI())
		}
	}
}

func TestReplicas_FollowOneAnother(t *testing.T) {
	t.Parallel()
	both := shared(t)
	one, two := hubtest.Start(t, both), hubtest.Start(t, both)

	// Registered at the first, used at the second.
	cpo, msp := one.Platform("cpo", "NL/CPA:CPO"), one.Platform("msp", "DE/MSP:EMSP")
	ask := func() *hubtest.Response {
		return two.Send(t, hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/tokens", Token: cpo.TokenC, To: "DE/MSP"})
	}
	eventually(t, "a registration", ask, 200, 1000)

	// Suspended at the second, refused at the first.
	two.Admin("POST", "/api/v1/platforms/"+msp.ID+"/suspend", nil)
	eventually(t, "a suspension", func() *hubtest.Response {
		return cpo.List("tokens", "DE/MSP")
	}, 200, 4003)
	two.Admin("POST", "/api/v1/platforms/"+msp.ID+"/resume", nil)
	eventually(t, "the end of it", func() *hubtest.Response {
		return cpo.List("tokens", "DE/MSP")
	}, 200, 1000)

	// Renewed at the first: the old token dies at the second as well.
	old := cpo.TokenC
	cpo.TokenC = cpo.Credentials("PUT", old, nil).Token()
	eventually(t, "the new token", ask, 200, 1000)
	eventually(t, "the old token", func() *hubtest.Response { return get(two, t, "/ocpi/versions", old) }, 401, 2000)

	// Deleted at the first, unknown at the second.
	one.Admin("DELETE", "/api/v1/platforms/"+msp.ID, nil)
	eventually(t, "a deletion", ask, 200, 4001)
}

func TestReplicas_StartFromTheCache(t *testing.T) {
	t.Parallel()
	both := shared(t)
	one := hubtest.Start(t, both)
	cpo := one.Platform("cpo", "NL/CPA:CPO")
	one.Platform("msp", "DE/MSP:EMSP")

	two := hubtest.Start(t, both)
	got := two.Send(t, hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/tokens", Token: cpo.TokenC, To: "DE/MSP"})
	wantHTTP(t, "the first message at a new replica", got, 200, 1000)
	two.Stop()
	if log := two.Log.String(); !strings.Contains(log, `msg="directory loaded" from=cache platforms=2`) {
		t.Errorf("it did not start from the cache:\n%s", log)
	}
}

func TestRestart_ThePlatformsAreStillThere(t *testing.T) {
	t.Parallel()
	one := hubtest.Start(t)
	cpo := one.Platform("cpo", "NL/CPA:CPO")
	one.Platform("msp", "DE/MSP:EMSP")
	one.Stop()

	two := hubtest.Start(t, sameFolder(one))
	got := two.Send(t, hubtest.Request{Method: "GET", Path: "/ocpi/2.2.1/sender/tokens", Token: cpo.TokenC, To: "DE/MSP"})
	wantHTTP(t, "after a restart", got, 200, 1000)
	if _, shown := two.Admin("GET", "/api/v1/platforms/"+cpo.ID, nil); shown["last_seen"] == nil {
		t.Errorf("last seen is forgotten: %v", shown)
	}
}

func TestReplicas_ATokenIsGoodAtTheOtherReplicaAtOnce(t *testing.T) {
	t.Parallel()
	database := storagetest.Postgres(t)
	// Without Redis no news travels: only asking helps.
	both := func(c *hub.Config) {
		c.Database, c.SecretKeys = database, []string{"a-secret-key-of-thirty-two-characters-or-more"}
	}
	one, two := hubtest.Start(t, both), hubtest.Start(t, both)
	cpo := one.Platform("cpo", "NL/CPA:CPO")
	wantHTTP(t, "C at the other replica", get(two, t, "/ocpi/2.2.1/credentials", cpo.TokenC), 200, 1000)

	p := newReceiver(one, "receiver", "DE/MSP:EMSP")
	var during *hubtest.Response
	p.during = func() { during = get(two, t, "/ocpi/versions", p.offered) }
	if status, answer := p.connect(one); status != 200 {
		t.Fatalf("connect: HTTP %d %v", status, answer)
	}
	wantHTTP(t, "the offered token at the other replica, during the POST", during, 200, 1000)
}
