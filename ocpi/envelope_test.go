package ocpi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"busbar/ocpi"
)

func TestF1_Envelope(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // its clock begins at 2000-01-01
		for want, got := range map[string][]byte{
			`{"status_code":1000,"timestamp":"2000-01-01T00:00:00.000Z"}`:                                ocpi.Envelope(nil, ocpi.Success, ""),
			`{"data":[],"status_code":1000,"status_message":"x","timestamp":"2000-01-01T00:00:00.000Z"}`: ocpi.Envelope([]int{}, ocpi.Success, "x"),
			`{"data":{"a":1.10},"status_code":1000,"timestamp":"2000-01-01T00:00:00.000Z"}`:              ocpi.Envelope(json.RawMessage(`{"a":1.10}`), ocpi.Success, ""),
		} {
			if string(got) != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		}
	})
}

func TestS1_ErrorsTravelWithHTTP200UnlessTransport(t *testing.T) {
	t.Parallel()
	unknown := ocpi.Errorf(ocpi.UnknownReceiver, "no party %s", "NLCPA")
	if r := ocpi.Refused(unknown); r.HTTP != 200 || r.Status != 4001 || !bytes.Contains(r.Body, []byte(`"no party NLCPA"`)) {
		t.Errorf("%+v", r)
	}
	if r := ocpi.Refused(ocpi.HTTPErrorf(404, ocpi.UnknownToken, "x")); r.HTTP != 404 || r.Status != 2004 {
		t.Errorf("%+v", r)
	}
	if r := ocpi.Answered([]string{}); r.HTTP != 200 || r.Status != 1000 || !bytes.Contains(r.Body, []byte(`"data":[]`)) {
		t.Errorf("%+v", r)
	}
	if e, ok := ocpi.AsError(fmt.Errorf("route: %w", unknown)); !ok || e != unknown {
		t.Error("a wrapped Error is not found")
	}
	if _, ok := ocpi.AsError(errors.New("x")); ok {
		t.Error("any error is an Error")
	}
}

func TestScanEnvelope(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		body   string
		status ocpi.StatusCode // 0: no code
	}{
		{`{"status_code":1000}`, 1000},
		{" \r\n{ \"status_code\" :\t1000 } \n", 1000},
		{`{"status_code":"2001"}`, 2001},
		{`{"data":{"status_code":4001},"status_code":1000}`, 1000},
		{`{"status_code":1000,"data":[{"status_code":4001}]}`, 1000},
		{`{"data":{"status_code":4001}}`, 0},
		{`{"status_message":"\"status_code\":2000","status_code":1000}`, 1000},
		{`{"status_code":2000,"status_code":1000}`, 1000},
		{`{"status_code":null,"status_code":1000}`, 1000},
		{`{"status_code":1000,"status_code":null}`, 0},
		{`{"data":null,"status_code":19999}`, 0},
		{`{"status_code":1000.0}`, 0}, {`{"status_code":1e3}`, 0}, {`{"status_code":-100}`, 0}, {`{"status_code":true}`, 0},
		{`{"status_code":"ok"}`, 0}, {`{"status_code":""}`, 0}, {`{"status_code":[1000]}`, 0}, {`{"status_code":0999}`, 0},
		{`{"Status_Code":1000}`, 0}, {`{"statuscode":1000}`, 0},
		{`{}`, 0}, {`{ }`, 0}, {`{"data":[]}`, 0},
		{``, 0}, {`null`, 0}, {`1000`, 0}, {`"x"`, 0}, {`[{"status_code":1000}]`, 0}, {`OK`, 0}, {`<html>`, 0},
		{`{"status_code":1000`, 0}, {`{"status_code":1000,}`, 0}, {`{"status_code":1000}}`, 0}, {`{"status_code":1000} x`, 0},
		{`{"status_code":1000}{}`, 0}, {`{"status_code" 1000}`, 0}, {`{status_code:1000}`, 0}, {`{"status_code":1000 "a":1}`, 0},
		{`{"a":tru,"status_code":1000}`, 0}, {`{"a":"` + "\n" + `","status_code":1000}`, 0},
		{`{"status_code":1000,"data":` + strings.Repeat("[", 100_000), 0},
	} {
		status, ok := ocpi.ScanEnvelope([]byte(tt.body))
		if ok != (tt.status != 0) || ok && status != tt.status {
			t.Errorf("%.70s: %d, %v, want %d", tt.body, status, ok, tt.status)
		}
	}
}

// decodedStatus is ScanEnvelope's rule, by means of encoding/json.
func decodedStatus(body []byte) (code string, ok bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return "", false
	}
	code = strings.Trim(string(fields["status_code"]), `"`)
	if len(code) != 4 || strings.Trim(code, "0123456789") != "" {
		return "", false
	}
	return code, true
}

func FuzzScanEnvelope(f *testing.F) {
	for _, s := range []string{
		`{"status_code":1000}`, `{"data":[{"a":"b"}],"status_code":"2001","timestamp":"x"}`, `{"status_code":{},"status_code":1000}`,
		`{"data":null,"status_code":3000,"status_message":"\u0000\\"}`, `{}`, `[]`, `{"status_code":"0999"}`, `{"status_code":"0000"}`, `{"status_code":1000}x`, "{\"\xff\":1,\"status_code\":1000}", `{"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		status, ok := ocpi.ScanEnvelope(body)
		if bytes.Contains(body, []byte(`\u`)) {
			return // a name with escapes is not looked for
		}
		if err := ocpi.CheckJSON(body); err != nil && strings.Contains(err.Error(), "deeper") {
			return
		}
		want, found := decodedStatus(body)
		if ok != found || ok && fmt.Sprintf("%04d", status) != want {
			t.Errorf("%q: %d %v, encoding/json finds %q %v", body, status, ok, want, found)
		}
	})
}
