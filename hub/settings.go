package hub

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"busbar/ocpi"
	"busbar/storage/seal"
)

// Settings is what the operator wrote, as text, by the names of contract.md;
// empty means the default.
type Settings struct {
	Listen, AdminListen, PublicURL, Party, Name string
	DataDir, Database, Redis                    string
	SecretKey, AdminToken                       string
	ForwardTimeout, AliveInterval, Agreements   string
	AllowPrivatePeers, MaxBody                  string
	PlatformConcurrency, PlatformRate           string
	BodyMemory, MaxConnections, TrustedProxies  string
	TLSCert, TLSKey, TLSClientCA, TLSClientAuth string
	LogLevel, LogFormat, JournalRetention       string
	AuditRetention                              string
	SuppressUnchanged, PullNewPlatforms         string
}

// faults collects what is wrong, so that the operator learns of everything at
// once.
type faults []error

func (f *faults) add(setting, format string, args ...any) {
	*f = append(*f, fmt.Errorf("BUSBAR_%s: %s", setting, fmt.Sprintf(format, args...)))
}

// Config checks the settings. The error joins one line for every fault, each
// with the setting's name; no line holds a secret.
func (s Settings) Config() (Config, error) {
	var f faults
	cfg := Config{
		Listen: f.address("LISTEN", s.Listen, ":8080"), AdminListen: f.address("ADMIN_LISTEN", s.AdminListen, "127.0.0.1:8081"),
		PublicURL: f.baseURL("PUBLIC_URL", s.PublicURL, "http://localhost:8080"),
		Party:     f.party("PARTY", s.Party, "EUBUS"),
		Name:      f.name("NAME", s.Name, "Busbar"), DataDir: or(s.DataDir, "./data"),
		ForwardTimeout:      f.duration("FORWARD_TIMEOUT", s.ForwardTimeout, 30*time.Second, 100*time.Millisecond, 10*time.Minute),
		AllowPrivatePeers:   f.boolean("ALLOW_PRIVATE_PEERS", s.AllowPrivatePeers),
		MaxBody:             f.size("MAX_BODY", s.MaxBody, 16<<20, 1<<30),
		PlatformConcurrency: f.number("PLATFORM_CONCURRENCY", s.PlatformConcurrency, 256, 0, 1_000_000),
		PlatformRate:        f.number("PLATFORM_RATE", s.PlatformRate, 0, 0, 1_000_000),
		MaxConnections:      f.number("MAX_CONNECTIONS", s.MaxConnections, 10_000, 1, 1_000_000),
		TrustedProxies:      f.prefixes("TRUSTED_PROXIES", s.TrustedProxies),
		AdminToken:          f.token("ADMIN_TOKEN", s.AdminToken),
		AliveInterval:       f.duration("ALIVE_INTERVAL", s.AliveInterval, 5*time.Minute, time.Second, 24*time.Hour),
		ClosedAgreements:    f.choice("AGREEMENTS", s.Agreements, "open", "closed") == "closed",
		JournalRetention:    f.duration("JOURNAL_RETENTION", s.JournalRetention, 30*24*time.Hour, time.Hour, 10*365*24*time.Hour),
		AuditRetention:      f.duration("AUDIT_RETENTION", s.AuditRetention, 365*24*time.Hour, 24*time.Hour, 10*365*24*time.Hour),
		SuppressUnchanged:   f.boolean("SUPPRESS_UNCHANGED", s.SuppressUnchanged),
		PullNewPlatforms:    f.boolean("PULL_NEW_PLATFORMS", s.PullNewPlatforms),
		LogLevel:            f.level("LOG_LEVEL", s.LogLevel),
		LogJSON:             f.choice("LOG_FORMAT", s.LogFormat, "text", "json") == "json",
		TLSCert:             s.TLSCert, TLSKey: s.TLSKey, TLSClientCA: s.TLSClientCA,
	}
	f.stores(s, &cfg)
	f.tls(s, &cfg)
	f.memory(s, &cfg)
	return cfg, errors.Join(f...)
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

func (f *faults) address(name, value, fallback string) string {
	value = or(value, fallback)
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || port == "" {
		f.add(name, "%q must be host:port, like :8080 or 127.0.0.1:8081", value)
	}
	return value
}

func (f *faults) baseURL(name, value, fallback string) string {
	value = strings.TrimRight(or(value, fallback), "/")
	if err := ocpi.CheckURL(value); err != nil {
		f.add(name, "%v", err)
	} else if strings.ContainsAny(value, "? ") {
		f.add(name, "must have neither a query nor spaces")
	} else if len(value) > 150 {
		// Longer ones leave no room for the rest: OCPI URLs have 255 characters.
		f.add(name, "must have at most 150 characters, has %d", len(value))
	}
	return value
}

// name is a business name (2.2.1 types, BusinessDetails: at most 100 characters).
func (f *faults) name(setting, value, fallback string) string {
	value = or(strings.TrimSpace(value), fallback)
	if n := utf8.RuneCountInString(value); n > 100 {
		f.add(setting, "must have at most 100 characters, has %d", n)
	}
	return value
}

// token is a bearer token: it has to fit into a header. Space around it is the
// line feed of the file that it came from.
func (f *faults) token(name, value string) string {
	value = strings.TrimSpace(value)
	if n := len(value); n > 0 && n < 16 {
		f.add(name, "must have at least 16 characters")
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		f.add(name, "must be printable ASCII without spaces")
	}
	return value
}

func (f *faults) party(name, value, fallback string) ocpi.PartyKey {
	key, err := ocpi.ParseParty(or(value, fallback))
	if err != nil {
		f.add(name, "%v", err)
	}
	return key
}

// duration reads Go's durations and, for retention, days: 30s, 5m, 30d.
func (f *faults) duration(name, value string, fallback, least, most time.Duration) time.Duration {
	if value == "" {
		return fallback
	}
	d, err := time.ParseDuration(value)
	if days, ok := strings.CutSuffix(value, "d"); ok {
		var n int64
		// 16 bits: more days than any bound allows, and no overflow.
		if n, err = strconv.ParseInt(days, 10, 16); errors.Is(err, strconv.ErrRange) {
			n, err = math.MaxInt16, nil
		}
		d = time.Duration(n) * 24 * time.Hour
	}
	switch {
	case err != nil:
		f.add(name, "%q must be a duration like 30s, 5m or 30d", value)
	case d < least || d > most:
		f.add(name, "%s must be between %s and %s", value, least, most)
	}
	return d
}

func (f *faults) boolean(name, value string) bool {
	b, err := strconv.ParseBool(or(value, "false"))
	if err != nil {
		f.add(name, "%q must be true or false", value)
	}
	return b
}

// memory is the bound on bodies. The largest one has to fit, with the buffer that
// it grows out of, and beside others.
func (f *faults) memory(s Settings, cfg *Config) {
	least := 4 * cfg.MaxBody
	cfg.BodyMemory = f.size("BODY_MEMORY", s.BodyMemory, max(512<<20, least), 1<<40)
	if cfg.BodyMemory < least {
		f.add("BODY_MEMORY", "must be at least four times BUSBAR_MAX_BODY")
	}
}

// number reads a whole number.
func (f *faults) number(name, value string, fallback, least, most int) int {
	if value == "" {
		return fallback
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		f.add(name, "%q must be a whole number from %d to %d", value, least, most)
		return fallback
	}
	return n
}

// prefixes reads a list of networks and addresses, with commas.
func (f *faults) prefixes(name, value string) []netip.Prefix {
	var all []netip.Prefix
	for i, text := range strings.Split(value, ",") {
		text = strings.TrimSpace(text)
		if text == "" && value == "" {
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			var addr netip.Addr
			if addr, err = netip.ParseAddr(text); err == nil {
				p = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
			}
		}
		if err != nil || p.Addr().Is4In6() {
			f.add(name, "entry %d, %q, must be a network like 10.0.0.0/8 or an address", i+1, text)
			continue
		}
		all = append(all, p.Masked())
	}
	return all
}

// size reads a number of bytes: 1048576, 512KiB, 16MiB.
func (f *faults) size(name, value string, fallback, most int64) int64 {
	if value == "" {
		return fallback
	}
	digits, unit := value, int64(1)
	for suffix, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(value, suffix); ok {
			digits, unit = rest, n
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 1 || n > most/unit {
		f.add(name, "%q must be a size like 65536, 512KiB or 16MiB, at most %dGiB", value, most>>30)
		return fallback
	}
	return n * unit
}

func (f *faults) level(name, value string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(or(value, "info"))); err != nil {
		f.add(name, "%q must be debug, info, warn or error", value)
	}
	return l
}

func (f *faults) choice(name, value string, choices ...string) string {
	value = or(value, choices[0])
	for _, c := range choices {
		if strings.EqualFold(c, value) {
			return c
		}
	}
	f.add(name, "%q must be %s", value, strings.Join(choices, " or "))
	return choices[0]
}

func (f *faults) stores(s Settings, cfg *Config) {
	cfg.Database, cfg.Redis = s.Database, s.Redis
	isPostgres := strings.HasPrefix(s.Database, "postgres://") || strings.HasPrefix(s.Database, "postgresql://")
	file, isSQLite := strings.CutPrefix(s.Database, "sqlite:")
	switch {
	case s.Database == "" || isPostgres:
	case !isSQLite:
		f.add("DATABASE", "must be sqlite:FILE or postgres://…")
	case file == "" || file == ":memory:":
		f.add("DATABASE", "sqlite: must be followed by the path of a file")
	}
	if s.Redis != "" && !strings.HasPrefix(s.Redis, "redis://") && !strings.HasPrefix(s.Redis, "rediss://") {
		f.add("REDIS", "must be redis://… or rediss://…")
	}
	if s.SecretKey == "" && isPostgres {
		f.add("SECRET_KEY", "is required with Postgres: every replica must open what another sealed")
	}
	if s.SecretKey != "" {
		cfg.SecretKeys = f.secretKeys("SECRET_KEY", s.SecretKey)
	}
}

// secretKeys keeps the rules of package seal, where a fault would surface alone.
func (f *faults) secretKeys(name, value string) []string {
	var keys []string
	for i, key := range strings.Split(value, ",") {
		key = strings.TrimSpace(key)
		if utf8.RuneCountInString(key) < seal.MinSecretLength {
			f.add(name, "key %d must have at least %d characters", i+1, seal.MinSecretLength)
		} else if first := slices.Index(keys, key); first >= 0 {
			f.add(name, "key %d is the same as key %d", i+1, first+1)
		}
		keys = append(keys, key)
	}
	return keys
}

func (f *faults) tls(s Settings, cfg *Config) {
	cfg.OptionalClientCert = f.choice("TLS_CLIENT_AUTH", s.TLSClientAuth, "require", "request") == "request"
	if s.TLSClientAuth != "" && cfg.TLSClientCA == "" {
		f.add("TLS_CLIENT_AUTH", "needs BUSBAR_TLS_CLIENT_CA")
	}
	_, certOK := f.pemFile("TLS_CERT", cfg.TLSCert)
	_, keyOK := f.pemFile("TLS_KEY", cfg.TLSKey)
	ca, caOK := f.pemFile("TLS_CLIENT_CA", cfg.TLSClientCA)
	switch {
	case cfg.TLSCert == "" && cfg.TLSKey != "":
		f.add("TLS_CERT", "is missing: BUSBAR_TLS_KEY needs it")
	case cfg.TLSCert != "" && cfg.TLSKey == "":
		f.add("TLS_KEY", "is missing: BUSBAR_TLS_CERT needs it")
	case cfg.TLSCert != "" && certOK && keyOK:
		if _, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey); err != nil {
			f.add("TLS_CERT", "with BUSBAR_TLS_KEY: %v", err)
		}
	}
	if cfg.TLSClientCA == "" {
		return
	}
	if cfg.TLSCert == "" {
		f.add("TLS_CLIENT_CA", "needs BUSBAR_TLS_CERT and BUSBAR_TLS_KEY")
	}
	if caOK && !x509.NewCertPool().AppendCertsFromPEM(ca) {
		f.add("TLS_CLIENT_CA", "%s holds no PEM certificate", cfg.TLSClientCA)
	}
}

// pemFile reads a file. A setting that holds the PEM text itself must not stand
// in the error: it may be a private key.
func (f *faults) pemFile(name, path string) (raw []byte, ok bool) {
	if path == "" {
		return nil, true
	}
	if strings.Contains(path, "-----BEGIN") {
		f.add(name, "must be the name of a PEM file, not its text")
		return nil, false
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		f.add(name, "%v", err)
	}
	return raw, err == nil
}
