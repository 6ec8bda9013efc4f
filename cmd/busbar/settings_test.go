package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"busbar/hub"
)

// serveFlags are the flags of serve, help aside.
func serveFlags() []*kong.Flag {
	parser, err := kong.New(&commandLine{}, kong.NamedMapper("switch", switchMapper{}), kong.DefaultEnvars("BUSBAR"))
	if err != nil {
		panic(err)
	}
	var flags []*kong.Flag
	for _, node := range parser.Model.Children {
		if node.Name == "serve" {
			flags = node.Flags
		}
	}
	return flags
}

// settingNames are the variables of serve.
func settingNames() []string {
	var names []string
	for _, f := range serveFlags() {
		names = append(names, f.Envs...)
	}
	return names
}

// A setting has one name: --admin-listen, BUSBAR_ADMIN_LISTEN.
func TestSettings_FlagAndVariableHaveOneName(t *testing.T) {
	t.Parallel()
	flags := serveFlags()
	if len(flags) < 20 {
		t.Fatalf("%d flags were found", len(flags))
	}
	for _, f := range flags {
		want := "BUSBAR_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if len(f.Envs) != 1 || f.Envs[0] != want {
			t.Errorf("--%s has the variables %v, want %s", f.Name, f.Envs, want)
		}
		if f.Default != "" {
			t.Errorf("--%s has a default of its own; defaults are hub.Settings'", f.Name)
		}
	}
}

// Every setting that the hub knows can be set.
func TestSettings_AreThoseOfTheHub(t *testing.T) {
	t.Parallel()
	flags, hubs := reflect.TypeFor[settings](), reflect.TypeFor[hub.Settings]()
	if flags.NumField() != hubs.NumField() {
		t.Fatalf("%d flags, and %d settings in the hub", flags.NumField(), hubs.NumField())
	}
	for i := range flags.NumField() {
		if flags.Field(i).Name != hubs.Field(i).Name {
			t.Errorf("setting %d is %s as a flag and %s in the hub", i, flags.Field(i).Name, hubs.Field(i).Name)
		}
	}
}

// contract is the settings table of contract.md, with the default as it reads
// there.
var contract = []struct{ variables, fallback string }{
	{"BUSBAR_LISTEN", ":8080"},
	{"BUSBAR_ADMIN_LISTEN", "127.0.0.1:8081"},
	{"BUSBAR_PUBLIC_URL", "http://localhost:8080"},
	{"BUSBAR_PARTY", "EUBUS"},
	{"BUSBAR_DATA_DIR", "./data"},
	{"BUSBAR_DATABASE", "SQLite in the data dir"},
	{"BUSBAR_REDIS", "none: in-process"},
	{"BUSBAR_SECRET_KEY", ""},
	{"BUSBAR_ADMIN_TOKEN", "generated, printed once at the first start"},
	{"BUSBAR_FORWARD_TIMEOUT", "30s"},
	{"BUSBAR_ALIVE_INTERVAL", "5m"},
	{"BUSBAR_AGREEMENTS", "open"},
	{"BUSBAR_ALLOW_PRIVATE_PEERS", ""},
	{"BUSBAR_MAX_BODY", "16MiB"},
	{"BUSBAR_TLS_CERT BUSBAR_TLS_KEY BUSBAR_TLS_CLIENT_CA", ""},
	{"BUSBAR_LOG_LEVEL", "info"},
	{"BUSBAR_LOG_FORMAT", "text"},
	{"BUSBAR_JOURNAL_RETENTION", "30d"},
	// OTEL_EXPORTER_OTLP_ENDPOINT is not implemented yet.
}

func TestSettings_TheContractIsKept(t *testing.T) {
	t.Parallel()
	byVariable := map[string]*kong.Flag{}
	for _, f := range serveFlags() {
		for _, name := range f.Envs {
			byVariable[name] = f
		}
	}
	for _, line := range contract {
		for name := range strings.FieldsSeq(line.variables) {
			f := byVariable[name]
			if f == nil {
				t.Errorf("%s has no flag", name)
			} else if !strings.Contains(f.Help, line.fallback) {
				t.Errorf("--%s does not tell its default, %s: %s", f.Name, line.fallback, f.Help)
			}
		}
	}
}

func TestSettings_AreDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, f := range serveFlags() {
		heading := "### `" + f.Envs[0] + "`"
		_, section, found := strings.Cut(text, heading+"\n")
		if !found {
			t.Errorf("docs/configuration.md has no heading %s", heading)
			continue
		}
		section, _, _ = strings.Cut(section, "\n##")
		if !strings.Contains(section, "`--"+f.Name+"`") {
			t.Errorf("docs/configuration.md: %s does not name --%s", heading, f.Name)
		}
		if f.Name != "config" && !strings.Contains(section, "`"+strings.ReplaceAll(f.Name, "-", "_")+"`") {
			t.Errorf("docs/configuration.md: %s does not name the key of the file", heading)
		}
	}
	for _, line := range contract {
		for name := range strings.FieldsSeq(line.variables) {
			if !strings.Contains(text, name) {
				t.Errorf("docs/configuration.md lacks %s", name)
			}
		}
	}
}
