package hub

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"busbar/ocpi"
)

func TestSettings_DefaultsAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	got, err := Settings{}.Config()
	if err != nil {
		t.Fatal(err)
	}
	party, err := ocpi.ParseParty("EUBUS")
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Listen: ":8080", AdminListen: "127.0.0.1:8081", PublicURL: "http://localhost:8080",
		Party: party, Name: "Busbar", DataDir: "./data",
		ForwardTimeout: 30 * time.Second, MaxBody: 16 << 20, LogLevel: slog.LevelInfo,
		AliveInterval: 5 * time.Minute, Drain: 5 * time.Second, JournalRetention: 30 * 24 * time.Hour, AuditRetention: 365 * 24 * time.Hour,
		PlatformConcurrency: 256, BodyMemory: 512 << 20, MaxConnections: 10_000,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("defaults\n%+v, want\n%+v", got, want)
	}
}

func TestSettings_AreRead(t *testing.T) {
	t.Parallel()
	files := newPEMFiles(t)
	got, err := Settings{
		Listen: "0.0.0.0:80", AdminListen: "[::1]:http", PublicURL: "https://hub.example.com/base/",
		Party: "nlhub", Name: " The Hub ", DataDir: "/var/lib/busbar",
		Database: "postgres://u:p@db/busbar", Redis: "rediss://r:6379/1",
		SecretKey: strings.Repeat("a", 32) + ", " + strings.Repeat("b", 40), AdminToken: strings.Repeat("t", 16) + "\n",
		ForwardTimeout: "1m30s", AliveInterval: "2m", Drain: "0s", Agreements: "CLOSED", AllowPrivatePeers: "true", MaxBody: "512KiB",
		SuppressUnchanged: "true", PullNewPlatforms: "1",
		PlatformConcurrency: "0", PlatformRate: "50", BodyMemory: "2GiB", MaxConnections: "500",
		TrustedProxies: "10.1.2.3/8, 2001:db8::1", TLSClientAuth: "Request",
		TLSCert: files.cert, TLSKey: files.key, TLSClientCA: files.cert,
		LogLevel: "WARN", LogFormat: "JSON", JournalRetention: "90d", AuditRetention: "3650d",
	}.Config()
	if err != nil {
		t.Fatal(err)
	}
	party, err := ocpi.ParseParty("NLHUB")
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Listen: "0.0.0.0:80", AdminListen: "[::1]:http", PublicURL: "https://hub.example.com/base",
		Party: party, Name: "The Hub", DataDir: "/var/lib/busbar",
		Database: "postgres://u:p@db/busbar", Redis: "rediss://r:6379/1",
		SecretKeys: []string{strings.Repeat("a", 32), strings.Repeat("b", 40)}, AdminToken: strings.Repeat("t", 16),
		ForwardTimeout: 90 * time.Second, AllowPrivatePeers: true, MaxBody: 512 << 10,
		TLSCert: files.cert, TLSKey: files.key, TLSClientCA: files.cert,
		LogLevel: slog.LevelWarn, LogJSON: true,
		AliveInterval: 2 * time.Minute, ClosedAgreements: true, JournalRetention: 90 * 24 * time.Hour,
		AuditRetention:    3650 * 24 * time.Hour,
		SuppressUnchanged: true, PullNewPlatforms: true,
		PlatformRate: 50, BodyMemory: 2 << 30, MaxConnections: 500, OptionalClientCert: true,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("config\n%+v, want\n%+v", got, want)
	}
}

func TestSettings_FaultsAreNamed(t *testing.T) {
	t.Parallel()
	const long = "https://hub.example.com/"
	for name, c := range map[string]struct {
		settings Settings
		setting  string
	}{
		"concurrency below zero":             {Settings{PlatformConcurrency: "-1"}, "PLATFORM_CONCURRENCY"},
		"rate that is no number":             {Settings{PlatformRate: "10/s"}, "PLATFORM_RATE"},
		"body memory for less than four":     {Settings{BodyMemory: "63MiB"}, "BODY_MEMORY"},
		"no connection":                      {Settings{MaxConnections: "0"}, "MAX_CONNECTIONS"},
		"a proxy by name":                    {Settings{TrustedProxies: "10.0.0.0/8,proxy"}, "TRUSTED_PROXIES"},
		"client auth without a CA":           {Settings{TLSClientAuth: "request"}, "TLS_CLIENT_AUTH"},
		"listen without a port":              {Settings{Listen: "localhost"}, "LISTEN"},
		"listen with an empty port":          {Settings{Listen: "localhost:"}, "LISTEN"},
		"listen on a port too high":          {Settings{Listen: ":65536"}, "LISTEN"},
		"admin listen on no port":            {Settings{AdminListen: ":port-of-nobody"}, "ADMIN_LISTEN"},
		"public URL without a scheme":        {Settings{PublicURL: "hub.example.com"}, "PUBLIC_URL"},
		"public URL of another scheme":       {Settings{PublicURL: "ftp://hub.example.com"}, "PUBLIC_URL"},
		"public URL with a query":            {Settings{PublicURL: "https://hub.example.com/?a=b"}, "PUBLIC_URL"},
		"public URL with an empty query":     {Settings{PublicURL: "https://hub.example.com/?"}, "PUBLIC_URL"},
		"public URL with a fragment":         {Settings{PublicURL: "https://hub.example.com/#top"}, "PUBLIC_URL"},
		"public URL with a space":            {Settings{PublicURL: "https://hub.example.com/a b"}, "PUBLIC_URL"},
		"public URL too long":                {Settings{PublicURL: long + strings.Repeat("x", 151-len(long))}, "PUBLIC_URL"},
		"party of two characters":            {Settings{Party: "EU"}, "PARTY"},
		"party of six characters":            {Settings{Party: "EUBUSS"}, "PARTY"},
		"party with a hyphen":                {Settings{Party: "EU-BU"}, "PARTY"},
		"name of 101 characters":             {Settings{Name: strings.Repeat("n", 101)}, "NAME"},
		"database of an unknown kind":        {Settings{Database: "mysql://db/busbar"}, "DATABASE"},
		"database without a file":            {Settings{Database: "sqlite:"}, "DATABASE"},
		"database in memory":                 {Settings{Database: "sqlite::memory:"}, "DATABASE"},
		"Redis without a scheme":             {Settings{Redis: "localhost:6379"}, "REDIS"},
		"Postgres without a secret key":      {Settings{Database: "postgres://db/busbar"}, "SECRET_KEY"},
		"secret key of 31 characters":        {Settings{SecretKey: strings.Repeat("k", 31)}, "SECRET_KEY"},
		"secret key of 16 two-byte ones":     {Settings{SecretKey: strings.Repeat("ü", 16)}, "SECRET_KEY"},
		"secret key with an empty second":    {Settings{SecretKey: strings.Repeat("k", 32) + ","}, "SECRET_KEY"},
		"the same secret key twice":          {Settings{SecretKey: strings.Repeat("k", 32) + ", " + strings.Repeat("k", 32)}, "SECRET_KEY"},
		"admin token of 15 characters":       {Settings{AdminToken: strings.Repeat("t", 15)}, "ADMIN_TOKEN"},
		"admin token with a space":           {Settings{AdminToken: "long enough a token"}, "ADMIN_TOKEN"},
		"admin token that is not ASCII":      {Settings{AdminToken: strings.Repeat("ü", 16)}, "ADMIN_TOKEN"},
		"forward timeout without a unit":     {Settings{ForwardTimeout: "30"}, "FORWARD_TIMEOUT"},
		"forward timeout of nothing":         {Settings{ForwardTimeout: "0s"}, "FORWARD_TIMEOUT"},
		"negative forward timeout":           {Settings{ForwardTimeout: "-30s"}, "FORWARD_TIMEOUT"},
		"forward timeout of 11 minutes":      {Settings{ForwardTimeout: "11m"}, "FORWARD_TIMEOUT"},
		"alive interval below a second":      {Settings{AliveInterval: "999ms"}, "ALIVE_INTERVAL"},
		"alive interval above a day":         {Settings{AliveInterval: "2d"}, "ALIVE_INTERVAL"},
		"suppression of some":                {Settings{SuppressUnchanged: "some"}, "SUPPRESS_UNCHANGED"},
		"pulling of some":                    {Settings{PullNewPlatforms: "some"}, "PULL_NEW_PLATFORMS"},
		"unknown agreements":                 {Settings{Agreements: "some"}, "AGREEMENTS"},
		"private peers perhaps":              {Settings{AllowPrivatePeers: "perhaps"}, "ALLOW_PRIVATE_PEERS"},
		"body of nothing":                    {Settings{MaxBody: "0"}, "MAX_BODY"},
		"negative body":                      {Settings{MaxBody: "-1KiB"}, "MAX_BODY"},
		"body in decimal units":              {Settings{MaxBody: "16MB"}, "MAX_BODY"},
		"body above a gibibyte":              {Settings{MaxBody: "1025MiB"}, "MAX_BODY"},
		"body that overflows":                {Settings{MaxBody: "9223372036854775807KiB"}, "MAX_BODY"},
		"body of a fraction":                 {Settings{MaxBody: "1.5MiB"}, "MAX_BODY"},
		"log level":                          {Settings{LogLevel: "loud"}, "LOG_LEVEL"},
		"log format":                         {Settings{LogFormat: "xml"}, "LOG_FORMAT"},
		"a drain as long as a stop may take": {Settings{Drain: "30s"}, "DRAIN"},
		"journal retention below an hour":    {Settings{JournalRetention: "59m"}, "JOURNAL_RETENTION"},
		"journal retention of 11 years":      {Settings{JournalRetention: "4015d"}, "JOURNAL_RETENTION"},
		"journal retention that overflows":   {Settings{JournalRetention: "213505d"}, "JOURNAL_RETENTION"},
		"journal retention beyond numbers":   {Settings{JournalRetention: "99999999999999999999d"}, "JOURNAL_RETENTION"},
		"journal retention of half a day":    {Settings{JournalRetention: "0.5d"}, "JOURNAL_RETENTION"},
		"audit retention below a day":        {Settings{AuditRetention: "23h"}, "AUDIT_RETENTION"},
		"audit retention of 11 years":        {Settings{AuditRetention: "4015d"}, "AUDIT_RETENTION"},
		"key without a certificate":          {Settings{TLSKey: newPEMFiles(t).key}, "TLS_CERT"},
		"certificate without a key":          {Settings{TLSCert: newPEMFiles(t).cert}, "TLS_KEY"},
		"client CA without a certificate":    {Settings{TLSClientCA: newPEMFiles(t).cert}, "TLS_CLIENT_CA"},
		"key of another certificate":         {Settings{TLSCert: newPEMFiles(t).cert, TLSKey: newPEMFiles(t).key}, "TLS_CERT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFaults(t, c.settings, c.setting)
		})
	}
}

func TestSettings_FilesAreChecked(t *testing.T) {
	t.Parallel()
	files := newPEMFiles(t)
	wantFaults(t, Settings{TLSCert: files.cert, TLSKey: files.missing}, "TLS_KEY")
	wantFaults(t, Settings{TLSCert: files.missing, TLSKey: files.key}, "TLS_CERT")
	wantFaults(t, Settings{TLSCert: files.cert, TLSKey: files.key, TLSClientCA: files.missing}, "TLS_CLIENT_CA")
	wantFaults(t, Settings{TLSCert: files.cert, TLSKey: files.key, TLSClientCA: files.key}, "TLS_CLIENT_CA")
	// Whoever pastes the key itself must not find it in the error.
	pasted, err := os.ReadFile(files.key)
	if err != nil {
		t.Fatal(err)
	}
	message := wantFaults(t, Settings{TLSCert: files.cert, TLSKey: string(pasted)}, "TLS_KEY")
	if strings.Contains(message, "BEGIN") {
		t.Errorf("the error holds the key: %s", message)
	}
}

func TestSettings_AllFaultsAtOnce_NoSecretEchoed(t *testing.T) {
	t.Parallel()
	const secret = "hush-hush"
	message := wantFaults(t, Settings{
		Listen: "x", AdminListen: "x", PublicURL: "x", Party: "x", Name: strings.Repeat("x", 200),
		Database: "mysql://u:" + secret + "@db", Redis: "http://:" + secret + "@r",
		SecretKey: secret + "," + secret, AdminToken: secret,
		ForwardTimeout: "x", AliveInterval: "x", Agreements: "x", AllowPrivatePeers: "x", MaxBody: "x",
		TLSKey: "/nothing/there", TLSClientCA: "/nothing/there", LogLevel: "x", LogFormat: "x", JournalRetention: "x",
	}, "LISTEN", "ADMIN_LISTEN", "PUBLIC_URL", "PARTY", "NAME", "DATABASE", "REDIS", "SECRET_KEY", "SECRET_KEY", "ADMIN_TOKEN",
		"FORWARD_TIMEOUT", "ALIVE_INTERVAL", "AGREEMENTS", "ALLOW_PRIVATE_PEERS", "MAX_BODY",
		"TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA", "TLS_CLIENT_CA", "LOG_LEVEL", "LOG_FORMAT", "JOURNAL_RETENTION")
	if strings.Contains(message, secret) {
		t.Errorf("the error holds a secret:\n%s", message)
	}
	message = wantFaults(t, Settings{Database: "postgres://u:" + secret + "@db/x", Redis: "redis:" + secret}, "REDIS", "SECRET_KEY")
	if strings.Contains(message, secret) {
		t.Errorf("the error holds a secret:\n%s", message)
	}
}

func TestSettings_Durations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": time.Hour, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "30d": 720 * time.Hour, "1d": 24 * time.Hour, "500ms": 500 * time.Millisecond,
	} {
		var f faults
		if got := f.duration("X", text, time.Hour, 0, 1000*time.Hour); got != want || len(f) > 0 {
			t.Errorf("%q: %s %v, want %s", text, got, f, want)
		}
	}
}

func TestSettings_Sizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"": 7, "1": 1, "65536": 65536, "512KiB": 512 << 10, "16MiB": 16 << 20, "16 MiB": 16 << 20, "1GiB": 1 << 30, "1024MiB": 1 << 30,
	} {
		var f faults
		if got := f.size("X", text, 7, 1<<30); got != want || len(f) > 0 {
			t.Errorf("%q: %d %v, want %d", text, got, f, want)
		}
	}
}

func TestSettings_Booleans(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"": false, "true": true, "TRUE": true, "1": true, "t": true, "false": false, "False": false, "0": false,
	} {
		var f faults
		if got := f.boolean("X", text); got != want || len(f) > 0 {
			t.Errorf("%q: %t %v, want %t", text, got, f, want)
		}
	}
}

// wantFaults checks that exactly these settings are at fault, one line each.
func wantFaults(t *testing.T, s Settings, names ...string) string {
	t.Helper()
	_, err := s.Config()
	if err == nil {
		t.Errorf("no fault, want %v", names)
		return ""
	}
	want := map[string]int{}
	for _, name := range names {
		want["BUSBAR_"+name]++
	}
	got := map[string]int{}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		name, _, _ := strings.Cut(line, ": ")
		got[name]++
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("faults of %v, want %v:\n%v", got, want, err)
	}
	return err.Error()
}

type pemFiles struct{ cert, key, missing string }

// newPEMFiles writes a certificate, which is also its own CA, and its key.
func newPEMFiles(t *testing.T) pemFiles {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := pemFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "missing.pem")}
	for path, block := range map[string]*pem.Block{
		files.cert: {Type: "CERTIFICATE", Bytes: cert}, files.key: {Type: "PRIVATE KEY", Bytes: raw},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
