package rediscache

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"busbar/ocpi"
	"busbar/routing"
	"busbar/storage/seal"
)

const (
	// mostUntold bounds the lessons that wait to be published. Beyond it they are
	// dropped, and the others told that they missed something.
	mostUntold = 10_000
	// lessonBatch is the most lessons in one message.
	lessonBatch = 500
	// lessonBeat is how often a replica publishes at least.
	lessonBeat = 200 * time.Millisecond
	// deafAfter is the silence of a connection that does not work any more: not even
	// the replica's own beats come back.
	deafAfter = time.Second
)

// LessonNews carries what open routing learns between replicas. It implements
// routing.LessonNews.
//
// A message is "REPLICA\n" and a sealed tidings: a key is a plain hash, from which
// the uid of a token could be guessed back.
type LessonNews struct {
	client  *redis.Client
	channel string
	replica string
	sealer  *seal.Sealer
	logger  *slog.Logger
	// deafAfter is LessonNewsConfig.DeafAfter.
	deafAfter time.Duration

	mu     sync.Mutex
	untold []routing.LearnedLesson
	// lost tells that some were dropped, of which the others have not been told.
	lost bool
	// some holds a value while untold may not be empty.
	some chan struct{}
}

var _ routing.LessonNews = (*LessonNews)(nil)

// LessonNewsConfig says which replica tells whom.
type LessonNewsConfig struct {
	// Client stays the caller's to close.
	Client *redis.Client
	// Namespace is as in Config.
	Namespace string
	Replica   routing.ReplicaID
	Sealer    *seal.Sealer
	// Logger hears when the others are not heard. Nil is silence.
	Logger *slog.Logger
	// DeafAfter bounds the silence of a connection that works, and one publication.
	// Zero is 1 second.
	DeafAfter time.Duration
}

// NewLessonNews makes a LessonNews. It does not ask Redis.
func NewLessonNews(config LessonNewsConfig) *LessonNews {
	logger := config.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &LessonNews{
		deafAfter: cmp.Or(config.DeafAfter, deafAfter),
		client:    config.Client, channel: "busbar:{" + config.Namespace + "}:lessons", replica: string(config.Replica),
		sealer: config.Sealer, logger: logger, some: make(chan struct{}, 1),
	}
}

// tidings are what one message tells.
type tidings struct {
	// Lost tells that there was more.
	Lost    bool         `json:"lost,omitempty"`
	Lessons []lessonNews `json:"lessons,omitempty"`
}

type lessonNews struct {
	Key     string               `json:"key"`
	Kind    routing.LessonKind   `json:"kind"`
	Change  routing.LessonChange `json:"change"`
	Owner   ocpi.PartyKey        `json:"owner"`
	With    ocpi.PartyKey        `json:"with"`
	Expires int64                `json:"expires"`
}

// Tell implements routing.LessonNews. What is told reaches Redis by Hear, so there
// must be one that runs.
func (n *LessonNews) Tell(lessons ...routing.LearnedLesson) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.untold)+len(lessons) > mostUntold {
		n.untold, n.lost = nil, true
	} else {
		n.untold = append(n.untold, lessons...)
	}
	select {
	case n.some <- struct{}{}:
	default:
	}
}

// Hear implements routing.LessonNews. The log has one line for each loss and each
// return.
func (n *LessonNews) Hear(ctx context.Context, hearing func(bool), learned func([]routing.LearnedLesson)) {
	var telling sync.WaitGroup
	telling.Go(func() { n.publishAll(ctx) })
	defer telling.Wait()
	lost := false
	retry := time.NewTicker(retryInterval)
	defer retry.Stop()
	for {
		err := n.listen(ctx, func() {
			if lost {
				lost = false
				n.logger.InfoContext(ctx, "hearing of what other replicas learn again")
			}
			hearing(true)
		}, learned)
		if ctx.Err() != nil {
			return
		}
		if !lost {
			lost = true
			n.logger.WarnContext(ctx, "not hearing of what other replicas learn", "error", err)
		}
		hearing(false)
		select {
		case <-ctx.Done():
			return
		case <-retry.C:
		}
	}
}

// listen hears one subscription until it fails, or is silent for deafAfter.
func (n *LessonNews) listen(ctx context.Context, began func(), learned func([]routing.LearnedLesson)) error {
	hearing, deaf := context.WithCancel(ctx)
	defer deaf()
	silent := time.AfterFunc(silence, deaf)
	defer silent.Stop()
	return subscribe(hearing, n.client, n.channel, func() {
		silent.Reset(n.deafAfter)
		began()
	}, func(message string) {
		silent.Reset(n.deafAfter)
		from, sealed, _ := strings.Cut(message, "\n")
		if from == n.replica || sealed == "" {
			return
		}
		lessons, whole := n.open(sealed)
		if !whole {
			began() // as if it had just begun to hear
		}
		if len(lessons) > 0 {
			learned(lessons)
		}
	})
}

// publishAll tells what there is to tell until ctx ends, and then the rest.
func (n *LessonNews) publishAll(ctx context.Context) {
	beat := time.NewTicker(lessonBeat)
	defer beat.Stop()
	some := n.some
	for {
		select {
		case <-ctx.Done():
			_ = n.publish(ctx) // nobody is left to hear of it
			return
		case <-beat.C:
		case <-some:
		}
		some = n.some
		if n.publish(ctx) != nil {
			some = nil // the next try is the next beat
		}
	}
}

// publish tells all that waits, or gives a sign of life.
func (n *LessonNews) publish(ctx context.Context) error {
	// What is under way when the hub stops goes out too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.deafAfter)
	defer cancel()
	for {
		lessons, lost, more := n.take()
		err := n.send(ctx, lessons, lost)
		if err != nil {
			n.mu.Lock()
			n.lost = n.lost || lost || len(lessons) > 0
			n.mu.Unlock()
			return err
		}
		if !more {
			return nil
		}
	}
}

// take takes a batch out.
func (n *LessonNews) take() (lessons []routing.LearnedLesson, lost, more bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := min(len(n.untold), lessonBatch)
	lessons, n.untold = n.untold[:at:at], n.untold[at:]
	lost, n.lost = n.lost, false
	return lessons, lost, len(n.untold) > 0
}

func (n *LessonNews) send(ctx context.Context, lessons []routing.LearnedLesson, lost bool) error {
	message := n.replica + "\n"
	if lost || len(lessons) > 0 {
		sealed, err := n.seal(lessons, lost)
		if err != nil {
			return err
		}
		message += sealed
	}
	if err := n.client.Publish(ctx, n.channel, message).Err(); err != nil {
		return fmt.Errorf("publish what was learned: %w", err)
	}
	return nil
}

func (n *LessonNews) seal(lessons []routing.LearnedLesson, lost bool) (string, error) {
	news := tidings{Lost: lost, Lessons: make([]lessonNews, len(lessons))}
	for i := range lessons {
		l := &lessons[i]
		news.Lessons[i] = lessonNews{
			Key: base64.RawStdEncoding.EncodeToString(l.Key[:]), Kind: l.Kind, Change: l.Change,
			Owner: l.Pair.Owner, With: l.Pair.With, Expires: l.ExpiresAt.Unix(),
		}
	}
	plain, err := json.Marshal(news)
	if err != nil {
		return "", fmt.Errorf("encode what was learned: %w", err)
	}
	return n.sealer.Seal(string(plain), seal.LessonNews, "")
}

// open reads a message; whole is false when there was more than it has.
func (n *LessonNews) open(sealed string) (lessons []routing.LearnedLesson, whole bool) {
	plain, err := n.sealer.Open(sealed, seal.LessonNews, "")
	if err != nil {
		return nil, false
	}
	var news tidings
	if err := json.Unmarshal([]byte(plain), &news); err != nil {
		return nil, false
	}
	whole = !news.Lost
	for i := range news.Lessons {
		l := &news.Lessons[i]
		key, err := base64.RawStdEncoding.DecodeString(l.Key)
		if err != nil || len(key) != len(routing.LessonKey{}) {
			whole = false
			continue
		}
		lessons = append(lessons, routing.LearnedLesson{Change: l.Change, Lesson: routing.Lesson{
			Key: routing.LessonKey(key), Kind: l.Kind, Pair: routing.Pair{Owner: l.Owner, With: l.With},
			ExpiresAt: time.Unix(l.Expires, 0).UTC(),
		}})
	}
	return lessons, whole
}
