package hub

import (
	"log/slog"
	"net/netip"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

// Config is how a hub runs. Settings.Config makes one from what an operator
// writes.
type Config struct {
	// Listen and AdminListen are host:port of the two listeners.
	Listen, AdminListen string
	// PublicURL is the base of every URL the hub hands out, without a trailing
	// slash.
	PublicURL string
	// Party is the hub's own; Name its business name in the credentials.
	Party ocpi.PartyKey
	Name  string

	// DataDir holds the SQLite file and generated keys.
	DataDir string
	// Database is sqlite:FILE or postgres://…; Redis is redis://…, or empty for
	// in-process.
	Database, Redis string
	// SecretKeys seal outbound tokens: the first seals, all open. Empty: one is
	// generated in DataDir.
	SecretKeys []string
	// AdminToken opens the admin API. Empty: one is generated, and printed once.
	AdminToken string

	ForwardTimeout time.Duration
	// LessonPatience is how long a message of open routing waits for what another
	// replica may have learned a moment ago; zero is 250 ms.
	LessonPatience time.Duration
	// InFlight is how long Stop waits for requests in flight; zero is 15 s.
	InFlight time.Duration
	// AllowPrivatePeers lets platforms live on private and loopback addresses.
	AllowPrivatePeers bool
	// MaxBody is the largest request body, in bytes.
	MaxBody int64
	// TLSCert, TLSKey and TLSClientCA are PEM files for the OCPI listener. They are
	// read again when they change.
	TLSCert, TLSKey, TLSClientCA string
	// OptionalClientCert lets platforms connect without a client certificate,
	// but for those that one is bound to.
	OptionalClientCert bool

	// PlatformConcurrency is how many requests of one platform this replica works
	// on at once, PlatformRate how many a second all replicas take of it. Zero is
	// no limit.
	PlatformConcurrency, PlatformRate int
	// BodyMemory is how many bytes of request bodies and of platforms' answers
	// are held at once; zero is 512 MiB.
	BodyMemory int64
	// MaxConnections is how many connections the OCPI listener holds; zero is
	// 10,000.
	MaxConnections int
	// TrustedProxies may tell in X-Forwarded-For who calls.
	TrustedProxies []netip.Prefix

	LogLevel slog.Level
	LogJSON  bool

	// AliveInterval is the silence after which a platform is checked.
	AliveInterval time.Duration
	// Drain is how long a replica that stops goes on taking requests, so that the
	// balancer before it sees that it is not ready. A hub without other replicas does
	// not wait.
	Drain time.Duration
	// ClosedAgreements lets only parties talk that have an agreement.
	ClosedAgreements bool
	// JournalRetention is how long message metadata is kept.
	JournalRetention time.Duration
	// AuditRetention is how long entries of the audit trail are kept; zero is
	// forever.
	AuditRetention time.Duration
	// SuppressUnchanged keeps broadcasts to itself that change nothing of the
	// stored object but last_updated.
	SuppressUnchanged bool
	// PullNewPlatforms fetches a CPO's Locations and Tariffs after its first
	// registration.
	PullNewPlatforms bool

	// Journals take note of every message besides the log.
	Journals []routing.Journal
	// QuietMessages leaves the record of each message out of the log, for a
	// terminal that shows messages in its own way.
	QuietMessages bool
}
