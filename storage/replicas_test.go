package storage_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
	"busbar/storage"
	"busbar/storage/storagetest"
)

// replica follows the record as a hub does, until the test ends.
type replica struct {
	directory *parties.Directory
	registrar *parties.Registrar
}

func follow(t *testing.T, stores *storage.Stores) replica {
	t.Helper()
	dialer := peer.NewDialer(peer.DialerConfig{})
	r := replica{directory: parties.NewDirectory(dialer)}
	r.directory.RequireAgreements()
	logger := slog.New(slog.DiscardHandler)
	r.registrar = parties.NewRegistrar(parties.RegistrarConfig{
		Store: stores.Platforms, Cache: stores.Cache, Directory: r.directory, Dialer: dialer, Logger: logger,
	})
	follower := parties.NewFollower(parties.FollowerConfig{
		Store: stores.Platforms, Cache: stores.Cache, Directory: r.directory, Registrar: r.registrar, Logger: logger,
	})
	if err := follower.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { follower.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return r
}

// awaits waits until the replica permits the pair a module, or does not.
func (r replica) awaits(t *testing.T, a parties.Agreement, want bool) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	late := time.After(2 * time.Minute) // only a failing test waits so long
	for r.directory.Snapshot().Permits(a.Parties[0], a.Parties[1], ocpi.ModuleSessions) != want {
		select {
		case <-poll.C:
		case <-late:
			t.Fatalf("it does not permit %v: %v", a.Parties, want)
		}
	}
}

func TestAnAgreementMadeAtOneReplicaBindsAtTheOther(t *testing.T) {
	t.Parallel()
	for name, redis := range map[string]string{"with Redis": storagetest.Redis(t), "without": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := settings(t)
			config.Database, config.Redis, config.Namespace = storagetest.Postgres(t), redis, storagetest.Namespace(t)
			one, two := follow(t, open(t, config)), follow(t, open(t, config))
			agreement := storagetest.Agreement("DEMSP NLCPA: sessions")
			for range 2 {
				if _, err := one.registrar.Agree(t.Context(), agreement); err != nil {
					t.Fatal(err)
				}
				one.awaits(t, agreement, true)
				two.awaits(t, agreement, true)
				if err := two.registrar.Disagree(t.Context(), agreement.Parties); err != nil {
					t.Fatal(err)
				}
				two.awaits(t, agreement, false)
				one.awaits(t, agreement, false)
			}
			if _, err := one.registrar.Agree(t.Context(), agreement); err != nil {
				t.Fatal(err)
			}
			three := follow(t, open(t, config)) // from the cache, if there is one
			if got := three.directory.Snapshot().Agreements(); len(got) != 1 || len(got[0].Modules) != 1 {
				t.Errorf("a new replica has agreements %v", got)
			}
		})
	}
}

func TestAgreementsOfManyReplicasAllBind(t *testing.T) {
	t.Parallel()
	config := settings(t)
	config.Database, config.Redis, config.Namespace = storagetest.Postgres(t), storagetest.Redis(t), storagetest.Namespace(t)
	var replicas []replica
	for range 3 {
		replicas = append(replicas, follow(t, open(t, config)))
	}
	list := []parties.Agreement{}
	for _, s := range []string{"DEAAA NLCPA", "DEBBB NLCPA", "DECCC NLCPA", "DEDDD NLCPA", "DEEEE NLCPA", "DEFFF NLCPA"} {
		list = append(list, storagetest.Agreement(s))
	}
	var writing sync.WaitGroup
	for i, a := range list {
		writing.Go(func() {
			if _, err := replicas[i%3].registrar.Agree(t.Context(), a); err != nil {
				t.Error(err)
			}
			// A platform's change in between.
			if _, _, err := replicas[i%3].registrar.Enrol(t.Context(), parties.Enrolment{Name: "between"}); err != nil {
				t.Error(err)
			}
		})
	}
	writing.Wait()
	for _, r := range replicas {
		for _, a := range list {
			r.awaits(t, a, true)
		}
	}
}
