package bench
import ("testing";"runtime";"tickproc/engine";"tickproc/ringbuf";"fmt")
func TestZZ(t *testing.T){
 runtime.MemProfileRate=1
 eachSession(t, func(t *testing.T, s *session){
	l, opening := s.open()
	ring, shard := ringbuf.New(ringUnits), engine.NewShard(shardOptions())
	shard.Apply(opening)
	n0:=mallocs()
	for i := range s.records {
		send(ring, l.decode(&s.records[i])); ring.Publish(); batch := ring.Poll()
		m1:=mallocs()
		shard.Apply(batch)
		m2:=mallocs()
		shard.TakeRows(); shard.TakeCommands(); ring.Release(len(batch))
		if n:=mallocs(); n!=n0 { r:=s.records[i]; fmt.Println(s.name, i, len(s.records), n-n0, m1-n0, m2-m1, string(r.payload[:60]), shard.Reports(1)[0].BidLevels, shard.Reports(1)[0].AskLevels); n0=mallocs() }
		if i>0 && i%40==0 && false {}
		if s.name=="usdm" && i>80000 {break}
	}
 })
}
