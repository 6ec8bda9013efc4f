package faults

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"

	"busbar/hub/hubtest"
)

func TestMain(m *testing.M) {
	runMore()
	os.Exit(hubtest.Main(m))
}

// runMore runs twice as many tests at a time as there are cores, unless -parallel
// says otherwise: most of their time they wait for leases to end.
func runMore() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if said {
		return
	}
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
}
