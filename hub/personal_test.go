package hub_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"busbar/hub"
	"busbar/hub/hubtest"
)

// driver is what says who somebody is.
type driver struct{ uid, contract, visual string }

func newDriver() driver {
	return driver{"UID" + rand.Text()[:12], "NL-MSP-C" + rand.Text()[:8] + "-X", "VIS" + rand.Text()[:12]}
}

// in looks for the driver in what is kept, in any case.
func (d driver) in(t *testing.T, where string, content []byte) {
	t.Helper()
	content = bytes.ToLower(content)
	for what, text := range map[string]string{"the token's uid": d.uid, "the contract": d.contract, "the visual number": d.visual} {
		if at := bytes.Index(content, []byte(strings.ToLower(text))); at >= 0 {
			t.Errorf("%s holds %s: %q", where, what, content[max(0, at-100):min(len(content), at+100)])
		}
	}
}

// drive lets every private module carry the driver through the hub: directly, to
// all, and without a receiver; accepted and refused.
func (d driver) drive(t *testing.T, h *hubtest.Hub, cpo, msp, other *hubtest.Platform) {
	t.Helper()
	issuer := `"country_code":"DE","party_id":"MSP",`
	token := fmt.Sprintf(`{%s"uid":%q,"type":"RFID","contract_id":%q,"visual_number":%q,"issuer":"MSP","valid":true,`+
		`"whitelist":"NEVER","last_updated":"2026-01-01T00:00:00Z"}`, issuer, d.uid, d.contract, d.visual)
	cdrToken := fmt.Sprintf(`"cdr_token":{%s"uid":%q,"type":"RFID","contract_id":%q}`, issuer, d.uid, d.contract)
	unnamed := strings.Replace(cdrToken, issuer, "", 1)
	profile := `{"charging_profile":{"charging_rate_unit":"W"},"response_url":"` + msp.Server.URL + `/result"}`
	for _, p := range []*hubtest.Platform{cpo, msp, other} {
		p.Answers(hubtest.Answer{Status: 200, Body: `{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z",` +
			`"data":{"result":"ACCEPTED","timeout":30,"allowed":"ALLOWED","token":` + token + `}}`})
	}
	for _, r := range []struct {
		by               *hubtest.Platform
		method, path, to string
		body             string
	}{
		{msp, "PUT", "receiver/tokens/DE/MSP/" + d.uid, "NL/CPA", token},
		{msp, "PATCH", "receiver/tokens/DE/MSP/" + d.uid + "?type=RFID", "NL/CPA", `{"visual_number":"` + d.visual + `","last_updated":"2026-01-02T00:00:00Z"}`},
		{msp, "GET", "receiver/tokens/de/msp/" + d.uid, "NL/CPA", ""},
		{msp, "PUT", "receiver/tokens/DE/MSP/" + d.uid, "EU/BUS", token},
		{msp, "PUT", "receiver/tokens/DE/MSP/" + d.uid, "", token},
		{other, "PUT", "receiver/tokens/NL/OTH/" + d.uid, "NL/CPA", strings.Replace(token, issuer, "", 1)},
		{cpo, "POST", "sender/tokens/" + d.uid + "/authorize", "DE/MSP", `{"location_id":"L1"}`},
		{cpo, "POST", "sender/tokens/" + d.uid + "/authorize?type=RFID", "", ""}, // of two: refused
		{cpo, "GET", "sender/tokens", "DE/MSP", ""},
		{cpo, "GET", "sender/tokens?limit=1", "EU/BUS", ""},
		{cpo, "PUT", "receiver/sessions/NL/CPA/S1", "DE/MSP", `{"id":"S1",` + cdrToken + `}`},
		{cpo, "PATCH", "receiver/sessions/NL/CPA/S1", "", `{` + cdrToken + `}`},
		{cpo, "POST", "receiver/cdrs", "DE/MSP", `{"id":"C1",` + cdrToken + `}`},
		{cpo, "POST", "receiver/cdrs", "", `{"id":"C2",` + unnamed + `}`}, // of two: refused
		{msp, "POST", "receiver/commands/START_SESSION", "NL/CPA", `{"response_url":"` + msp.Server.URL + `/r","token":` + token + `,"location_id":"L1"}`},
		{msp, "POST", "receiver/commands/RESERVE_NOW", "NL/CPA", `{"response_url":"` + msp.Server.URL + `/r","token":` + token + `,"reservation_id":"R1","location_id":"L1"}`},
		{msp, "PUT", "receiver/chargingprofiles/S1", "NL/CPA", profile},
		// What is no uid by the letter of OCPI is one for some; none of them leads anywhere.
		{msp, "POST", "receiver/commands/START_SESSION", "", `{"response_url":"` + msp.Server.URL + `/r","token":` + token + `,"location_id":"` + d.uid + `"}`},
		{msp, "POST", "receiver/commands/STOP_SESSION", "", `{"response_url":"` + msp.Server.URL + `/r","session_id":"` + d.uid + `"}`},
		{msp, "POST", "receiver/commands/CANCEL_RESERVATION", "", `{"response_url":"` + msp.Server.URL + `/r","reservation_id":"` + d.uid + `"}`},
		// Nobody may, or nobody can.
		{msp, "PUT", "receiver/tokens/" + d.uid, "NL/CPA", token},
		{msp, "PUT", "receiver/tokens/" + d.uid + "/MSP/x", "", token},
		{msp, "PUT", "receiver/tokens/DE/MSP/" + d.uid + "/x", "EU/BUS", token},
		{msp, "PUT", "receiver/tokens/DE/MSP/" + d.uid, "FR/XXX", token},
		{msp, "PUT", "receiver/tokens/DE/MSP/" + d.uid, "NL/CPA", "{" + token},
		{msp, "PUT", "receiver/tokens/FR/XXX/" + d.uid, "NL/CPA", token},
		{cpo, "POST", "receiver/cdrs", "FR/XXX", `{"id":"C1",` + cdrToken + `}`},
	} {
		r.by.Send(hubtest.Request{Method: r.method, Path: "/ocpi/2.2.1/" + r.path, To: r.to, Body: r.body})
	}
	// OCPI does not have these URLs.
	for _, path := range []string{"receiver/token/DE/MSP/" + d.uid, "emsp/2.2.1/token/" + d.uid, d.uid, "callback/" + d.uid, "receiver/" + d.uid + "%20/x"} {
		h.Send(t, hubtest.Request{Method: "PUT", Path: "/ocpi/2.2.1/" + path, Token: msp.TokenC, Body: token})
		h.Send(t, hubtest.Request{Method: "PUT", Path: "/ocpi/2.2.1/" + path, Token: "nobody's", Body: token})
	}
	h.Send(t, hubtest.Request{Method: "PUT", Path: "/ocpi/2.2.1/receiver/tokens/DE/MSP/" + d.uid, Token: "nobody's", Body: token})
	h.Send(t, hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/emsp/tokens/" + d.uid + "/authorize", Token: msp.TokenC})
	cpo.Await("the Token that went to all", func() bool {
		pushes := 0
		for _, got := range cpo.Received() {
			if got.Method == "PUT" && strings.Contains(got.URI, "/receiver/tokens/DE/MSP/"+d.uid) {
				pushes++
			}
		}
		// One came directly. The two that went to all may come in one: to a replica that
		// has just begun, what is open may have been sent before.
		return pushes >= 2
	})
}

// shown is everything that the admin API says of messages.
func shown(t *testing.T, h *hubtest.Hub, query string) []byte {
	t.Helper()
	_, answer := h.Admin("GET", "/api/v1/messages?limit=1000"+query, nil)
	return fmt.Append(nil, answer)
}

func trio(h *hubtest.Hub) (cpo, msp, other *hubtest.Platform) {
	return h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP"), h.Platform("other", "NL/OTH:EMSP")
}

// TestPersonal_NothingOfADriverStandsInFilesLogOrAdminAPI: bodies of private
// modules are never kept, and a token's uid is a pseudonym.
func TestPersonal_NothingOfADriverStandsInFilesLogOrAdminAPI(t *testing.T) {
	t.Parallel()
	d := newDriver()
	h := hubtest.Start(t)
	cpo, msp, other := trio(h)
	d.drive(t, h, cpo, msp, other)
	d.in(t, "the journal in memory", shown(t, h, ""))
	h.Stop()
	d.in(t, "the log", []byte(h.Log.String()))
	files, err := filepath.Glob(filepath.Join(h.DataDir, "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d.in(t, file, content)
	}
	if !strings.Contains(h.Log.String(), "module=tokens") || !strings.Contains(h.Log.String(), "path=/DE/MSP/~") {
		t.Error("the log has no messages with pseudonyms: the test looks in the wrong place")
	}

	// What is packed in the journal is read by the next hub.
	again := hubtest.Start(t, sameFolder(h))
	d.in(t, "the journal", shown(t, again, ""))
	if all := string(shown(t, again, "&token_uid="+strings.ToLower(d.uid))); strings.Count(all, "/~") < 10 {
		t.Errorf("whoever knows the uid does not find its messages: %s", all)
	}
	status, answer := again.Admin("POST", "/api/v1/erase", map[string]string{"token_uid": d.uid})
	if status != http.StatusOK || answer["lessons"].(float64) < 2 || answer["messages"].(float64) < 10 {
		t.Errorf("erase: HTTP %d %v", status, answer)
	}
	if all := string(shown(t, again, "&token_uid="+d.uid)); strings.Contains(all, "/~") {
		t.Errorf("messages about it are left: %s", all)
	}
	again.Stop()
	d.in(t, "the log of the erasure", []byte(again.Log.String()))
}

// TestPersonal_NothingOfADriverStandsInPostgresOrRedis also holds what is there
// for a moment only.
func TestPersonal_NothingOfADriverStandsInPostgresOrRedis(t *testing.T) {
	t.Parallel()
	both := shared(t)
	var cfg hub.Config
	both(&cfg)
	heard := monitor(t, cfg.Redis)
	d := newDriver()
	h := hubtest.Start(t, both)
	cpo, msp, other := trio(h)
	d.drive(t, h, cpo, msp, other)
	h.Stop()
	d.in(t, "Postgres", dump(t, cfg.Database))
	d.in(t, "what Redis was told", heard())
	d.in(t, "the log", []byte(h.Log.String()))
}

// TestPersonal_AnErasureReachesEveryReplica: one that knew whose the token is
// would ask everybody again.
func TestPersonal_AnErasureReachesEveryReplica(t *testing.T) {
	t.Parallel()
	both := shared(t)
	one, two := hubtest.Start(t, both), hubtest.Start(t, both)
	cpo, msp, _ := trio(one)
	d := newDriver()
	msp.Answers(hubtest.Answer{Status: 200, Body: `{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z","data":{"allowed":"ALLOWED"}}`})
	path := "/ocpi/2.2.1/sender/tokens/" + d.uid + "/authorize"
	eventually(t, "an authorisation", func() *hubtest.Response {
		return two.Send(t, hubtest.Request{Method: "POST", Path: path, Token: cpo.TokenC, To: "DE/MSP"})
	}, 200, 1000)
	var answer map[string]any
	asked := func() int {
		_, answer = two.Admin("POST", "/api/v1/explain", map[string]string{
			"method": "POST", "module": "tokens", "interface": "sender", "path": "/" + d.uid + "/authorize", "from": "NLCPA",
		})
		targets, _ := answer["targets"].([]any)
		return len(targets)
	}
	if n := asked(); n != 1 {
		t.Fatalf("%d parties would be asked about a token that is known", n)
	}
	if status, answer := one.Admin("POST", "/api/v1/erase", map[string]string{"token_uid": d.uid}); status != http.StatusOK {
		t.Fatalf("erase: HTTP %d %v", status, answer)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		n := asked()
		if n == 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d parties would be asked at the second replica: it still knows whose the token is: %v", n, answer)
		}
	}
}

// dump is every row of every table.
func dump(t *testing.T, database string) []byte {
	t.Helper()
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	// Bytes are shown as they are, as far as they are ASCII.
	if _, err := db.ExecContext(t.Context(), "SET bytea_output = 'escape'"); err != nil {
		t.Fatal(err)
	}
	var tables string
	if err := db.QueryRowContext(t.Context(),
		"SELECT string_agg(table_name, ' ') FROM information_schema.tables WHERE table_schema = 'public'").Scan(&tables); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for table := range strings.FieldsSeq(tables) {
		var rows sql.NullString
		query := "SELECT string_agg(x::text, ' ') FROM " + table + " x"
		if err := db.QueryRowContext(t.Context(), query).Scan(&rows); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		fmt.Fprintln(&all, table, rows.String)
	}
	if !bytes.Contains(all.Bytes(), []byte("Test hub")) && !bytes.Contains(all.Bytes(), []byte("DEMSP")) {
		t.Errorf("the dump holds nothing of the platforms: %.500s", all.String())
	}
	return all.Bytes()
}

// monitor hears every command that Redis is given from now on.
func monitor(t *testing.T, redisURL string) (heard func() []byte) {
	t.Helper()
	server, err := url.Parse(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", server.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(conn)
	if ok, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(ok, "+OK") {
		t.Fatalf("MONITOR: %q, %v", ok, err)
	}
	var mu sync.Mutex
	var all bytes.Buffer
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			line, err := lines.ReadBytes('\n')
			mu.Lock()
			all.Write(line)
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return func() []byte {
		conn.Close()
		<-ended
		if !bytes.Contains(all.Bytes(), []byte("busbar")) {
			t.Errorf("Redis was told nothing by a hub: %.300s", all.String())
		}
		return all.Bytes()
	}
}
