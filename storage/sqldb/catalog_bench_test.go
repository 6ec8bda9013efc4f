package sqldb_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"busbar/catalog"
	"busbar/routing"
	"busbar/storage/sqldb"
	"busbar/storage/storagetest"
)

// perCommit is the most objects that an operation of the benchmarks writes.
const perCommit = 500

// BenchmarkCommit compares a batch of pushes with the same pushes one by one
// (performance.md, P7), by one replica and by several at once. Nine in ten change an
// object, the others are new.
func BenchmarkCommit(b *testing.B) {
	for _, rows := range []int{1, perCommit} {
		for _, replicas := range []int{1, 8} {
			b.Run(fmt.Sprintf("%dRowsOnPostgresBy%d", rows, replicas), func(b *testing.B) {
				server := storagetest.Postgres(b)
				stores := make([]*sqldb.Catalog, replicas)
				for i := range stores {
					stores[i] = benchOpen(b, server).Catalog(routing.ReplicaID(fmt.Sprint("replica ", i)))
				}
				benchmarkCommit(b, rows, stores...)
			})
		}
		b.Run(fmt.Sprint(rows, "RowsOnSQLite"), func(b *testing.B) {
			db, err := sqldb.OpenSQLite(b.Context(), b.TempDir()+"/hub.db")
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			benchmarkCommit(b, rows, db.Catalog("a"))
		})
	}
	b.Run("500OneRowUpsertsByGormOn8Connections", benchmarkUpserts)
}

func benchmarkCommit(b *testing.B, size int, stores ...*sqldb.Catalog) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var committing sync.WaitGroup
	b.ResetTimer()
	for i, store := range stores {
		documents := newDocuments()
		documents.of, documents.among = int64(i), int64(len(stores))
		committing.Go(func() {
			for have := int64(0); left.Add(-1) >= 0 && !b.Failed(); {
				rows := make([]catalog.Row, size)
				for i := range rows {
					rows[i] = documents.next()
				}
				have = commits(b.Context(), b, store, have, func(int64, int64) []catalog.Row { return rows })
			}
		})
	}
	committing.Wait()
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "objects/s")
}

// commits commits, and follows the record first if that is needed.
func commits(ctx context.Context, b *testing.B, store *sqldb.Catalog, have int64, rows func(revision, lastSeq int64) []catalog.Row) int64 {
	for {
		revision, err := store.Commit(ctx, have, func(_ []catalog.Row, revision, lastSeq int64) []catalog.Row {
			return rows(revision, lastSeq)
		})
		if errors.Is(err, catalog.ErrBehind) {
			_, have, err = store.Since(ctx, have)
			if err == nil {
				continue
			}
		}
		if err != nil && ctx.Err() == nil {
			b.Error(err)
		}
		return revision
	}
}

// BenchmarkCommitBesideASlowReplica counts what one replica commits while another,
// this far away from the database, has always something to commit.
func BenchmarkCommitBesideASlowReplica(b *testing.B) {
	for _, roundTrip := range []time.Duration{10 * time.Millisecond, 50 * time.Millisecond} {
		b.Run(roundTrip.String(), func(b *testing.B) { benchmarkBeside(b, roundTrip) })
	}
}

func benchmarkBeside(b *testing.B, roundTrip time.Duration) {
	server := storagetest.Postgres(b)
	fast, slow := benchOpen(b, server).Catalog("fast"), benchOpen(b, slowLine(b, server, roundTrip)).Catalog("slow")
	one := func(revision, lastSeq int64) []catalog.Row {
		return []catalog.Row{storagetest.Location(fmt.Sprint("LOC", revision), lastSeq+1, revision)}
	}
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	var slows atomic.Int64
	running.Go(func() {
		for have := int64(0); ctx.Err() == nil; slows.Add(1) {
			have = commits(ctx, b, slow, have, one)
		}
	})
	for have := int64(0); b.Loop(); {
		have = commits(b.Context(), b, fast, have, one)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "fast/s")
	b.ReportMetric(float64(slows.Load())/b.Elapsed().Seconds(), "slow/s")
	stop()
	running.Wait()
}

// slowLine leads to the server of a URL, so long there and back.
func slowLine(b testing.TB, serverURL string, roundTrip time.Duration) string {
	b.Helper()
	server, err := url.Parse(serverURL)
	if err != nil {
		b.Fatal("the server's URL is not valid")
	}
	toxics := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(toxics, "line", "127.0.0.1:0", server.Host)
	if err := proxy.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(proxy.Stop)
	for _, stream := range []string{"upstream", "downstream"} {
		toxic := fmt.Sprintf(`{"type":"latency","stream":%q,"attributes":{"latency":%d}}`, stream, roundTrip.Milliseconds()/2)
		if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			b.Fatal(err)
		}
	}
	server.Host = proxy.Listen
	return server.String()
}

// upsertRow is what a row of the catalog would be to gorm.
type upsertRow struct {
	Key           []byte `gorm:"primaryKey"`
	Module, Owner string
	ID            []byte
	Seq, Revision int64
	LastUpdated   int64
	ChangedAt     int64
	Deleted       bool
	Document      string
}

func (upsertRow) TableName() string { return "upserts" }

// upsertTable is the catalog without what only writers that take turns can keep.
const upsertTable = `CREATE TABLE upserts (LIKE catalog INCLUDING ALL);
	DROP INDEX upserts_seq_idx; CREATE INDEX ON upserts (seq)`

func benchmarkUpserts(b *testing.B) {
	const connections = 8
	server := storagetest.Postgres(b)
	migrated, err := sqldb.OpenPostgres(b.Context(), server, 10*time.Second)
	if err != nil {
		b.Fatal(err)
	}
	defer migrated.Close()
	db, err := gorm.Open(postgres.Open(server), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		b.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	for statement := range strings.SplitSeq(upsertTable, ";") {
		if err := db.Exec(statement).Error; err != nil {
			b.Fatal(err)
		}
	}
	documents := newDocuments()
	for b.Loop() {
		var writers sync.WaitGroup
		queue := make(chan upsertRow, perCommit)
		for range perCommit {
			row := documents.next()
			key := sha256.Sum256([]byte(row.Key.ID))
			queue <- upsertRow{
				Key: key[:16], Module: string(row.Key.Module), Owner: row.Key.Owner.String(), ID: []byte(row.Key.ID),
				Seq: row.Seq, LastUpdated: row.LastUpdated.UnixMicro(), ChangedAt: row.ChangedAt.UnixMicro(),
				Document: string(row.Document),
			}
		}
		close(queue)
		for range connections {
			writers.Go(func() {
				for row := range queue {
					if err := db.WithContext(b.Context()).Clauses(clause.OnConflict{UpdateAll: true,
						Columns: []clause.Column{{Name: "key"}}}).Create(&row).Error; err != nil {
						b.Error(err)
					}
				}
			})
		}
		writers.Wait()
	}
	b.ReportMetric(float64(b.N)*perCommit/b.Elapsed().Seconds(), "objects/s")
}

func BenchmarkLoadOf500000ObjectsOnPostgres(b *testing.B) { benchmarkLoad(b, benchPostgres(b)) }

func BenchmarkLoadOf500000ObjectsOnSQLite(b *testing.B) {
	db, err := sqldb.OpenSQLite(b.Context(), b.TempDir()+"/hub.db")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	benchmarkLoad(b, db)
}

// benchmarkLoad loads objects of which a part was changed since they came, so
// that they do not lie in their order.
func benchmarkLoad(b *testing.B, db *sqldb.DB) {
	const objects, changed = 500_000, 200_000
	store, documents := db.Catalog("a"), newDocuments()
	for n := 0; n < objects+changed; n += 10_000 {
		rows := make(map[string]catalog.Row)
		for i := range 10_000 {
			row := documents.at(int64(n + i))
			if n >= objects {
				row = documents.at(rand.Int64N(objects))
			}
			rows[row.Key.ID] = row
		}
		_, err := store.Commit(b.Context(), 0, func([]catalog.Row, int64, int64) (list []catalog.Row) {
			for _, row := range rows {
				list = append(list, row)
			}
			return list
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		n := 0
		if _, _, err := store.Load(b.Context(), func(catalog.Row) error { n++; return nil }); err != nil || n != objects {
			b.Fatalf("%d objects, %v", n, err)
		}
	}
}

func benchPostgres(b *testing.B) *sqldb.DB { return benchOpen(b, storagetest.Postgres(b)) }

func benchOpen(b *testing.B, url string) *sqldb.DB {
	b.Helper()
	db, err := sqldb.OpenPostgres(context.Background(), url, 10*time.Second)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	return db
}

// documents makes objects of 2.8 KB (performance.md, the work).
type documents struct {
	given int64
	body  string
	// Those of several generators differ: this one is one of so many. 0 is one.
	of, among int64
}

func newDocuments() *documents {
	var body strings.Builder
	for i := range 9 {
		fmt.Fprintf(&body, `{"uid":"%x","evse_id":"NL*CPA*E%d","status":"AVAILABLE","capabilities":["RFID_READER",`+
			`"REMOTE_START_STOP_CAPABLE"],"connectors":[{"id":"%d","standard":"IEC_62196_T2","format":"SOCKET",`+
			`"power_type":"AC_3_PHASE","max_voltage":230,"max_amperage":32}],"last_updated":"2026-01-31T12:00:%02dZ"},`,
			rand.Uint64(), rand.Uint32(), i, i)
	}
	return &documents{body: body.String()}
}

func (d *documents) next() catalog.Row {
	if n := d.given; n > 0 && rand.IntN(10) > 0 {
		row := d.at(rand.Int64N(n))
		row.LastUpdated = row.LastUpdated.Add(time.Second)
		return row
	}
	d.given++
	return d.at(d.given - 1)
}

func (d *documents) at(n int64) catalog.Row {
	n = n*max(d.among, 1) + d.of
	row := storagetest.Location(fmt.Sprintf("LOC%d", n), n+1, 0)
	row.Document = fmt.Appendf(nil, `{"id":"LOC%d","name":"%x","evses":[%s{}]}`, n, rand.Uint64(), d.body)
	return row
}
