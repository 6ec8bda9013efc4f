package faults

import (
	"os"
	"testing"

	"busbar/hub/hubtest"
)

func TestMain(m *testing.M) { os.Exit(hubtest.Main(m)) }
