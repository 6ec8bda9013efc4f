package hub_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// rooms says what each package may import of this module, and which libraries
// are its own. A package that is not here fails: a new room is decided, not
// grown. "…" allows everything below.
var rooms = map[string][]string{
	"ocpi":                {},
	"access":              {},
	"ocpi/peer":           {"ocpi"},
	"parties":             {"ocpi", "ocpi/peer"},
	"catalog":             {"ocpi"},
	"routing":             {"ocpi", "ocpi/peer", "parties", "catalog"},
	"journal":             {"ocpi", "parties", "routing"},
	"hub/gateway":         {"access", "ocpi", "parties", "routing", "catalog"},
	"web":                 {"access", "ocpi", "parties", "routing", "catalog", "journal"},
	"storage":             {"access", "parties", "routing", "catalog", "journal", "storage/lines", "storage/seal", "storage/sqldb", "storage/rediscache"},
	"storage/seal":        {},
	"storage/lines":       {},
	"storage/sqldb":       {"access", "ocpi", "parties", "routing", "catalog", "journal", "storage/lines", "storage/seal", "storage/sqldb/migrations"},
	"storage/rediscache":  {"ocpi", "parties", "catalog", "routing", "journal", "storage/lines", "storage/seal"},
	"storage/storagetest": {"access", "ocpi", "parties", "routing", "catalog", "journal", "storage/…"},
	"simulator":           {"ocpi"},
	"hub":                 {"access", "storage/seal", "ocpi", "ocpi/peer", "parties", "routing", "catalog", "journal", "storage", "web", "hub/gateway"},
	"hub/hubtest":         {"ocpi", "hub"},
	"hub/faults":          {},
	"cmd/busbar":          {"hub", "ocpi", "routing", "simulator"},
	"bench":               {"ocpi"},
}

// libraries belong to the packages named and to no other.
var libraries = map[string][]string{
	"gorm.io/":                        {"storage/sqldb"},
	"modernc.org/sqlite":              {"storage/sqldb", "bench"}, // the soak asks how large the record is
	"github.com/pressly/goose":        {"storage/sqldb"},
	"github.com/redis/go-redis":       {"storage/rediscache"},
	"github.com/tink-crypto/":         {"storage/seal"},
	"github.com/gin-gonic/gin":        {"hub/gateway", "web", "hub"},
	"github.com/valyala/fasthttp":     {"ocpi/peer", "hub/gateway"},
	"github.com/hashicorp/golang-lru": {"hub/gateway"},
	"github.com/sony/gobreaker":       {"ocpi/peer"},
	"github.com/alecthomas/kong":      {"cmd/busbar"},
	"github.com/klauspost/":           {"catalog", "journal"},
	"github.com/cespare/xxhash":       {"journal"},
}

// TestImports keeps the rooms apart (house.md). It reads the sources, so it
// needs no build; test files may import what they like.
func TestImports(t *testing.T) {
	t.Parallel()
	const root = ".."
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == "node_modules" || name == "tools" || strings.HasPrefix(name, ".") && name != "..") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		room, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imported := range parsed.Imports {
			name, err := strconv.Unquote(imported.Path.Value)
			if err != nil {
				return err
			}
			checkImport(t, filepath.ToSlash(room), name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkImport(t *testing.T, room, name string) {
	allowed, known := rooms[room]
	if !known {
		t.Errorf("package %s is not in the table of rooms", room)
		return
	}
	if ours, ok := strings.CutPrefix(name, "busbar/"); ok {
		for _, a := range allowed {
			if a == ours || strings.HasSuffix(a, "/…") && strings.HasPrefix(ours, path.Dir(a)+"/") {
				return
			}
		}
		t.Errorf("%s must not import busbar/%s", room, ours)
		return
	}
	for library, owners := range libraries {
		if !strings.HasPrefix(name, library) {
			continue
		}
		owned := false
		for _, owner := range owners {
			owned = owned || owner == room
		}
		if !owned {
			t.Errorf("%s must not import %s", room, name)
		}
	}
	if (room == "ocpi" || room == "simulator") && strings.Contains(name, ".") {
		t.Errorf("%s imports nothing but the standard library and busbar, not %s", room, name)
	}
}
