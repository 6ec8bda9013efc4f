package rediscache_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"busbar/ocpi"
	"busbar/routing"
	"busbar/storage/rediscache"
	"busbar/storage/seal"
	"busbar/storage/storagetest"
)

const tokenUID = "012345678ABCDEF"

// pushOfToken is about a person.
func pushOfToken() *routing.Broadcast {
	b := storagetest.FullBroadcast("tokens/NLMSP/"+strings.ToLower(tokenUID), 0)
	b.Module, b.Method, b.Parcel = ocpi.ModuleTokens, "PUT", 4
	b.Path, b.Query, b.Body = "/NL/MSP/"+tokenUID, "type=RFID", []byte(`{"uid":"`+tokenUID+`"}`)
	return b
}

func TestATokenIsNotInRedisInClear(t *testing.T) {
	t.Parallel()
	url, namespace := storagetest.Redis(t), storagetest.Namespace(t)
	c := client(t, url)
	log := broadcasts(t, url, rediscache.BroadcastsConfig{Namespace: namespace, Pace: calm()})
	log.Append(pushOfToken(), nil)
	log.Append(storagetest.FullBroadcast("locations/NLCPA/"+"loc1", 3), nil)
	r := storagetest.RunLog(t, log, nil)
	handed := r.Wait(2)
	everything := strings.ToLower(fmt.Sprint(everythingIn(t, c, namespace)))
	for _, there := range []string{"locations/nlcpa/loc1", "decpb"} {
		if !strings.Contains(everything, there) {
			t.Fatalf("%s is not there: the test looks in the wrong place: %s", there, everything)
		}
	}
	for _, secret := range []string{tokenUID, "type=rfid", "tokens/"} {
		if strings.Contains(everything, strings.ToLower(secret)) {
			t.Errorf("%s stands in Redis in clear", secret)
		}
	}
	for _, h := range handed {
		h.Done()
	}
	storagetest.Eventually(t, "nothing is left of it", func() bool {
		return !strings.Contains(fmt.Sprint(everythingIn(t, c, namespace)), "map[s:")
	})
}

func everythingIn(t *testing.T, c *redis.Client, namespace string) (all []any) {
	t.Helper()
	for _, key := range keysOf(t, c, namespace) {
		all = append(all, key)
		switch c.Type(t.Context(), key).Val() {
		case "hash":
			all = append(all, c.HGetAll(t.Context(), key).Val())
		case "string":
			all = append(all, c.Get(t.Context(), key).Val())
		case "stream":
			all = append(all, c.XRange(t.Context(), key, "-", "+").Val())
		}
	}
	return all
}

func TestWhatCannotBeReadIsDroppedAndLoggedOnce(t *testing.T) {
	t.Parallel()
	url, namespace := storagetest.Redis(t), storagetest.Namespace(t)
	c := client(t, url)
	stranger, err := seal.New([]string{storagetest.Secret(1)})
	if err != nil {
		t.Fatal(err)
	}
	var logs storagetest.Logs
	reg := prometheus.NewPedanticRegistry()
	writer := broadcasts(t, url, rediscache.BroadcastsConfig{Namespace: namespace, Pace: calm()})
	reader := broadcasts(t, url, rediscache.BroadcastsConfig{
		Namespace: namespace, Pace: calm(), Sealer: stranger, Metrics: reg, Logger: logs.Logger(),
	})
	var ended storagetest.Count
	location := storagetest.Broadcast("tokens/NLMSP/"+strings.ToLower(tokenUID), 1) // in the same stream
	writer.Append(pushOfToken(), ended.Add)
	writer.Append(location, ended.Add)
	storagetest.Eventually(t, "both are there", func() bool { return streamOf(t, c, namespace) != "" })
	stream := streamOf(t, c, namespace)
	for _, fields := range [][]string{{"h", "{"}, {"v2", "x"}, {"h", `{"object":[1]}`}, {"s", ""}} {
		if err := c.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: fields}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	r := storagetest.RunLog(t, reader, storagetest.Done)
	storagetest.WantNames(t, r.Wait(1), location.CorrelationID)
	storagetest.Eventually(t, "the writer learns that they have ended", ended.Is(2))
	storagetest.Eventually(t, "the stream is empty", func() bool { return c.XLen(t.Context(), stream).Val() == 0 })
	want := "# HELP busbar_log_unreadable_total Broadcasts that were dropped since they could not be read, " +
		"as for want of a secret.\n# TYPE busbar_log_unreadable_total counter\nbusbar_log_unreadable_total 5\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "busbar_log_unreadable_total"); err != nil {
		t.Error(err)
	}
	if n := strings.Count(logs.String(), "cannot be read"); n != 1 {
		t.Errorf("logged %d times: %s", n, logs.String())
	}
	r.Stop()
}

// streamOf is the stream that has something.
func streamOf(t *testing.T, c *redis.Client, namespace string) string {
	t.Helper()
	for _, key := range keysOf(t, c, namespace) {
		if c.Type(t.Context(), key).Val() == "stream" && c.XLen(t.Context(), key).Val() > 1 {
			return key
		}
	}
	return ""
}

func TestBodiesBeyondTheBoundAreGivenUpButForTokens(t *testing.T) {
	t.Parallel()
	namespace := storagetest.Namespace(t)
	line, through := storagetest.NewLine(t, storagetest.Redis(t))
	line.Cut()
	log := broadcasts(t, through, rediscache.BroadcastsConfig{Namespace: namespace, Pace: calm(), MostBytes: 1000})
	big := bytes.Repeat([]byte("x"), 600)
	var given []*routing.Broadcast
	for n := range 4 {
		b := storagetest.FullBroadcast("locations/NLCPA/loc1", int64(n+1))
		b.Path, b.Body = "/NL/CPA/loc1/evse1", big
		given = append(given, b)
	}
	given[1] = pushOfToken()
	given[1].Body = big
	for _, b := range given {
		log.Append(b, nil)
	}
	line.Mend()
	r := storagetest.RunLog(t, log, storagetest.Done)
	present := 0
	for _, h := range r.Wait(len(given)) {
		switch {
		case h.Module == ocpi.ModuleTokens && (h.Present || len(h.Body) != len(big)):
			t.Error("the body of a Token is given up")
		case h.Present && (h.Body != nil || h.Method != "PUT" || h.Path != "/NL/CPA/loc1" || h.Query != ""):
			t.Errorf("given up: %s %s?%s with %d bytes", h.Method, h.Path, h.Query, len(h.Body))
		case h.Present:
			present++
		}
	}
	if present != 3 {
		t.Errorf("%d bodies were given up, want 3", present)
	}
	for _, b := range given {
		if b.Present || len(b.Body) != len(big) {
			t.Error("a broadcast was changed after it was appended")
		}
	}
}

func TestAPartitionWaitsWhenTooMuchIsUnderWay(t *testing.T) {
	t.Parallel()
	log := broadcasts(t, storagetest.Redis(t), rediscache.BroadcastsConfig{
		Namespace: storagetest.Namespace(t), Pace: calm(), MostUnderWay: 100,
	})
	var ended storagetest.Count
	const all = 1000
	for n := range all {
		log.Append(storagetest.Broadcast("a", n), ended.Add)
	}
	r := storagetest.RunLog(t, log, nil)
	most := 0
	for done := 0; done < all; {
		handed := r.Wait(done + 1)
		most = max(most, len(handed)-done)
		for _, h := range handed[done:] {
			h.Done()
		}
		done = len(handed)
	}
	if most > 100+64 {
		t.Errorf("%d were under way at once", most)
	}
	storagetest.Eventually(t, "all have ended", ended.Is(all))
}

func TestADeletedStreamIsAppendedAgain(t *testing.T) {
	t.Parallel()
	url, namespace := storagetest.Redis(t), storagetest.Namespace(t)
	c := client(t, url)
	log := broadcasts(t, url, rediscache.BroadcastsConfig{Namespace: namespace, Pace: quick()})
	var ended storagetest.Count
	log.Append(storagetest.Broadcast("a", 0), ended.Add)
	log.Append(storagetest.Broadcast("a", 1), ended.Add)
	storagetest.Eventually(t, "both are there", func() bool {
		stream := streamOf(t, c, namespace)
		return stream != "" && c.Del(t.Context(), stream).Val() == 1
	})
	r := storagetest.RunLog(t, log, storagetest.Done)
	storagetest.Eventually(t, "both have ended", ended.Is(2))
	if len(r.Handed()) < 2 {
		t.Errorf("%d were handed over", len(r.Handed()))
	}
}
